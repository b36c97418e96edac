"""Service level objectives, and the Prometheus rules that follow from them."""
