"""What good data are like, checked before they count: rules, baselines, reports, quarantine."""
