"""The feature store beside Feast: online, training sets, ingest, memory."""
