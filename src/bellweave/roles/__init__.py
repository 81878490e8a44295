"""What the source and each node of a link do, for any driver: from a slot to photons, from detections to key. Pure."""
