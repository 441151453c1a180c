"""Fuzz a service: requests made from its OpenAPI document, and raw bytes."""
