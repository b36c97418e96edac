"""OpenTelemetry's traces of answers, where its variables ask for them."""
