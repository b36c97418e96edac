"""The demo wine shop: its wines, its shoppers and what they do."""
