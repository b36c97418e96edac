"""Drift: whether what the model is asked today still looks like what it was made from."""
