"""The user's own files on their way into the tables."""
