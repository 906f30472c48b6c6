"""A federation of six, live for two minutes: `make demo`."""
