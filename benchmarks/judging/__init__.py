"""How updates are judged, measured: `python -m benchmarks.judging`."""
