"""Many demands at once on one network: the units of every edge are divided among the demands whose paths use it."""
