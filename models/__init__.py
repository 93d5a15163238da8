"""Workloads: PyTorch code, and beside each family what one call of it costs.

A family is two files: ``models/NAME.py`` builds the program (``make_program(params, dtype,
seed)``), and ``models/costs/NAME.py``, which imports no torch, holds its configurations, its
cost formulas and where they come from.

Shapes are static. Inputs are made on the CPU from a seed and moved, so that every device gets
the same values. No program holds dropout: its cost is that of a random number generator, which
differs between devices by design, and its output can't be compared with a reference.
"""
