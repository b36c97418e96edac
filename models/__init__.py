"""How items are ranked: candidates, ranker, popularity, training, export, bundles, registry."""
