"""The HTTP API of the function `Api`; imported with the first HTTP request."""
