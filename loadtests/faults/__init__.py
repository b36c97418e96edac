"""`python -m loadtests.faults`: what breaks, and what shoppers see of it."""
