"""What was normal when a model was made: rows of features, for those who watch for drift."""
