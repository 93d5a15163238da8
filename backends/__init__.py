"""Device stacks: what can run here, and how to place, compile, synchronise and time."""
