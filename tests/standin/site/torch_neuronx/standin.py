"""What only the stand-in has: kernels of known duration, a device that can be held, failures.

``torch.ops.standin.busy(x, microseconds)`` returns a copy of ``x`` after exactly so long on the
device's thread. Environment variables, read once per process:

``STANDIN_FAIL``: one or more of these, with commas between them
    ``no_cores``            the runtime doesn't start: its cores are taken
    ``init_status_1``       the runtime doesn't start: status code 1
    ``oom[:n]``             the nth allocation, and each after it, finds no memory (1)
    ``compile_oom[:name]``  compiling that operator, or anything, ends in NCC_EOOM001
    ``unsupported_op[:name]``  the same with NCC_EVRF001; a graph is named "graph"
    ``exec_timeout[:n]``    the nth kernel (1) ends in an execution timeout
    ``hang[:n]``            the nth kernel (1) never ends
    ``crash[:n]``           the nth kernel (1) aborts the process
    ``numeric[:name]``      that operator, or every one, answers NaN
    ``recompile[:n]``       every nth launch (10) compiles anew
``STANDIN_FALLBACK_OPS``: operators that the device is said not to have ("aten::cumsum,...")
``STANDIN_MEMORY_BYTES``: capacity of a logical core (24 GiB)
``STANDIN_LAUNCH_US``: from queueing to the beginning, for a device that was idle (as fast as the
thread wakes, some 5 to 100 us): larger than that, it makes the hand-over a known one
``STANDIN_COMPILE_MS``, ``STANDIN_GRAPH_COMPILE_MS``: what a compile costs (2 and 50)

Of the real variables it heeds NEURON_RT_VISIBLE_CORES, NEURON_RT_NUM_CORES,
NEURON_LOGICAL_NC_CONFIG, NEURON_LAUNCH_BLOCKING, TORCH_NEURONX_METRICS_ENABLED,
TORCH_NEURONX_NEFF_CACHE_DIR, TORCH_NEURONX_DISABLE_NEFF_CACHE and
TORCH_NEURONX_DISABLE_FALLBACK_EXECUTION; and TRNBENCH_NEURON_ROOT, a root without dev/neuron0
having no devices.
"""

import contextlib
from typing import NamedTuple

import torch

from . import standin_device as device


class Stamp(NamedTuple):
    """When a busy kernel was queued, began and ended, and when the synchronisation that waited
    for it returned (None: nothing has waited yet). Nanoseconds of ``time.monotonic_ns()``."""

    enqueued_ns: int
    begin_ns: int
    end_ns: int
    synchronized_ns: int | None

    @property
    def hand_over_ns(self):
        """From queueing to the beginning, and from the end to the return of the wait."""
        return self.begin_ns - self.enqueued_ns + self.synchronized_ns - self.end_ns


def busy(x, microseconds):
    return torch.ops.standin.busy(x, microseconds)


def take_stamps():
    """The stamps of the busy kernels that have ended since the last call, oldest first."""
    return [Stamp(*times[:3], times[3] or None) for times in device.take_stamps()]


def pending():
    """Pieces of work queued or running."""
    return device.pending()


@contextlib.contextmanager
def held():
    """Inside, the device starts nothing more: what returns didn't wait for it, and what would
    have waited raises ``RuntimeError``."""
    device.hold(True)
    try:
        yield
    finally:
        device.hold(False)


def synchronizations():
    """How often somebody asked for a synchronisation of the device."""
    return device.synchronizations()
