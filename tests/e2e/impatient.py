"""The Neuron backend without the half hour that its compiler may take, so that a test which
hangs on purpose need not wait for it."""

from __future__ import annotations

from trnbench.backends.neuron import NeuronBackend

NeuronBackend.compile_allowance_s = 0.0
