"""The virtual-time drivers: they run the cores in one process, same seed, same bytes."""
