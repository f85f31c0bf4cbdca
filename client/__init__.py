"""Command that sends a recording to the server and writes its text beside it; knows the HTTP API only."""
