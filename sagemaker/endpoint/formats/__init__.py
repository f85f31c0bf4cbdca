"""The contracts that requests may come under: each reads a body and knows how to answer."""
