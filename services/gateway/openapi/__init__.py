"""The HTTP API as an OpenAPI 3.1 document, made from the types that the routes answer with."""
