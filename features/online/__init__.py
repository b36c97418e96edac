"""The online store: what is known of a shopper now, in Valkey or Redis."""
