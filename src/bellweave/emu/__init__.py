"""Networks as live processes: a source, nodes with key servers and gateways, tunnels with traffic, a supervisor."""
