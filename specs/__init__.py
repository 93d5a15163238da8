"""Facts about silicon with their sources, and pure arithmetic on them."""
