"""From a window's updates to the next model: exact arithmetic, and one file per rule."""
