"""Side by side on one machine: the service, bare handlers, and peers doing the same work."""
