"""Load from outside: storefront behaviour over HTTP, never an import of the service."""
