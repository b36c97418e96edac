"""How well the lists of the model that serves do, beside those of the one before."""
