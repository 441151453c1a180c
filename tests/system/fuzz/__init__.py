"""What a service answers to whatever comes: requests made from its OpenAPI document, and raw bytes."""
