"""Studies: a published system, one command, its printed numbers, and why ours differ where they do."""
