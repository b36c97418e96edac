"""Datasets: named, versioned, traced and made again."""
