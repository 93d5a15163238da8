"""The catalog's data: one TOML file a chip."""
