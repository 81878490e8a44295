"""The interfaces that applications use: ETSI GS QKD 014 and 004, Cisco SKIP; pure handlers on one key service."""
