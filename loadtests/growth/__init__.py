"""`python -m loadtests.growth`: what more items and more workers cost."""
