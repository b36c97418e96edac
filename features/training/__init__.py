"""Training sets: labels joined with features as they were known, here or on a cluster."""
