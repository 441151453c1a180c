"""The HTTP protocol: middleware, bodies, connections, problem documents, pagination."""
