"""The page at `/ui`: its files, and what it shows of the service."""
