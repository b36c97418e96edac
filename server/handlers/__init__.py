"""One file per resource; each handler is parse, call, respond."""
