"""Wide-area networks: clusters of slaves around a master, and a backbone of repeaters with quantum memories."""
