"""Configurations and cost formulas of the workload families, without torch."""
