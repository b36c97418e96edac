"""Drift detection measured: false alarms in quiet windows, and how soon a shift is found."""
