"""Promise P6 put to the test: faults in a seeded order, upon a federation of real processes."""
