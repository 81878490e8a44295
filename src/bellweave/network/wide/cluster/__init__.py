"""What the master of a cluster decides: whose turn it is, and what memories with a lifetime let through."""
