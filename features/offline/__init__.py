"""The offline store: events, items and shoppers as tables."""
