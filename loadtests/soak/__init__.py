"""An hour of load, in steps that can be resumed, to see whether memory stays as it is."""
