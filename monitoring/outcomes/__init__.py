"""What became of lists that were served: events credited to them, cohort by cohort."""
