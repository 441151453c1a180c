"""Wire documents: requests and answers as pydantic models, for the server, the client and the command line."""
