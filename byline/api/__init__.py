"""Documents of requests and answers, shared by the server, the client and the command line."""
