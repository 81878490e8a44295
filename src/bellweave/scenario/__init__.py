"""Scenarios: one TOML file that describes a system, its schema, its presets."""
