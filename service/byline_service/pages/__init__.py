"""HTML pages, rendered on the server from the documents of the API."""
