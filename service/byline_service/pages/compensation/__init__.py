"""The compensation pages: one module a page. Pages are drawn from the functions that answer the API."""
