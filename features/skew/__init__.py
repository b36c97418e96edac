"""What serving used of features, beside what the tables say."""
