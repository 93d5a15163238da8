"""A stand-in for the native ``torch_neuronx``: the same names, over a device that is a thread.

Only ``torch.neuron.get_device_properties(0).name`` tells it from the real one: it begins with
"simulated". How to steer it stands in ``torch_neuronx.standin``.
"""

import os


def _autoload():
    """What PyTorch calls through the entry point; importing this package did the work."""


# The real package sets several variables on import as well.
os.environ.setdefault("TORCH_NEURONX_FALLBACK_ONLY_FOR_UNIMPLEMENTED_OPS", "1")

import torch  # noqa: E402 (the library below needs it loaded)

from . import metrics as metrics  # noqa: E402
from . import neuron, operators  # noqa: E402
from .neuron import *  # noqa: E402, F403

clear_op_tracking = operators.clear_op_tracking
get_executed_ops = operators.get_executed_ops
get_fallback_ops = operators.get_fallback_ops
__version__ = "0.1.0"
is_neuron_runtime_initialized = neuron.is_initialized

torch._register_device_module("neuron", neuron)
torch.utils.generate_methods_for_privateuse1_backend()
