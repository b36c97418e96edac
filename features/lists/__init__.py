"""Lists that were served: from the service's log into a table, and out of both again."""
