"""What the best network could deliver: linear programs over swaps, for a chain, a graph and many demands at once."""
