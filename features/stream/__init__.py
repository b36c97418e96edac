"""The event stream: who takes events from it, and where they go."""
