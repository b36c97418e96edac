"""The loop's eyes: Prometheus metrics, the rolling window of the last minute, alerts."""
