"""Results: records of counts, the run directory they live in, and what is computed from them when they are read."""
