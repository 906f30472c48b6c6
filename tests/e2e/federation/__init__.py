"""A small federation of real processes: a chain, a store, and participants that train on digits."""
