"""The online application: HTTP API and pages over built indexes."""
