"""``torch.neuron``: the device module of the native package, by its names."""

import atexit
import time
from dataclasses import dataclass

import torch

from . import standin_device as _device

torch.utils.rename_privateuse1_backend("neuron")


# ------------------------------------------------------------------ state
def is_available():
    return device_count() > 0


def is_initialized():
    return _device.is_started() and not _device.is_forked()


def init():
    _device.start_runtime()


def device_count():
    """Logical cores that this process may see; 0 where the runtime can't tell."""
    return _device.device_count()


def current_device():
    init()
    return _device.current_device()


def set_device(device):
    index = _index_of(device)
    if index >= 0:
        _device.set_current_device(index)


def _index_of(device):
    if device is None:
        return _device.current_device()
    if isinstance(device, int):
        return device
    device = torch.device(device)
    return _device.current_device() if device.index is None else device.index


class device:  # noqa: N801 (the name of the real one)
    """Context in which ``neuron`` without an index means this device."""

    def __init__(self, device):
        self.index = _index_of(device)

    def __enter__(self):
        self.before = _device.current_device()
        set_device(self.index)

    def __exit__(self, *error):
        set_device(self.before)


def _is_in_bad_fork():
    return _device.is_forked()


# ------------------------------------------------------------------ information
@dataclass(frozen=True)
class NeuronDeviceProperties:
    name: str
    total_memory: int


def get_device_properties(device=None):
    """``total_memory`` in bytes, of one logical core. The name says that nothing is real."""
    _index_of(device)
    return NeuronDeviceProperties("simulated trn2", _device.capacity_bytes())


def get_device_name(device=None):
    return f"neuron:{_index_of(device)}"


def get_amp_supported_dtype():
    return [torch.float32, torch.float16, torch.bfloat16]


def is_bf16_supported():
    return True


# ------------------------------------------------------------------ synchronisation
def synchronize(device=None):
    # Through torch's own binding, so that an error of queued work reads as PyTorch's do.
    torch._C._accelerator_synchronizeDevice(_index_of(device))


class Stream:
    """There is one queue, and every stream is it."""

    def __init__(self, device=None, priority=0):
        self.device = torch.device("neuron", _index_of(device))
        self.priority = priority
        self.stream_id = 0

    def synchronize(self):
        synchronize(self.device)

    def query(self):
        return _device.pending() == 0

    def wait_stream(self, stream):
        """In order anyway."""

    def wait_event(self, event):
        """In order anyway."""

    def record_event(self, event=None):
        event = event or Event()
        event.record(self)
        return event


class stream:  # noqa: N801 (the name of the real one)
    def __init__(self, stream):
        self.stream = stream

    def __enter__(self):
        return self.stream

    def __exit__(self, *error):
        pass


def current_stream(device=None):
    return Stream(device)


def default_stream(device=None):
    return Stream(device)


def set_stream(stream):
    set_device(stream.device)


class Event:
    """As in the real package, ``elapsed_time`` is the host's clock at ``record``: the time of
    queueing, not of the device. Don't time with it."""

    def __init__(self, enable_timing=False, blocking=False):
        self.enable_timing = enable_timing
        self.recorded_ns = None

    def record(self, stream=None):
        self.recorded_ns = time.monotonic_ns()

    def wait(self, stream=None):
        """In order anyway."""

    def query(self):
        return _device.pending() == 0

    def synchronize(self):
        synchronize()

    def elapsed_time(self, end):
        if not (self.enable_timing and end.enable_timing):
            raise RuntimeError("Event was not created with timing enabled")
        return (end.recorded_ns - self.recorded_ns) / 1e6


# ------------------------------------------------------------------ memory
def memory_stats(device=None):
    """Nested, unlike CUDA's dotted keys; of the tensor allocator alone."""
    index = _index_of(device)
    stats = torch._C._accelerator_getDeviceStats(index)
    allocations, frees = _device.request_counts(index)
    return {
        **{
            name: dict(stats[name]["all"])
            for name in ("allocated_bytes", "reserved_bytes", "active_bytes")
        },
        "num_alloc_retries": stats["num_alloc_retries"],
        "num_ooms": stats["num_ooms"],
        "num_tensor_frees": frees,
        "allocation_requests": allocations,
    }


def memory_allocated(device=None):
    return memory_stats(device)["allocated_bytes"]["current"]


def max_memory_allocated(device=None):
    return memory_stats(device)["allocated_bytes"]["peak"]


def memory_reserved(device=None):
    return memory_stats(device)["reserved_bytes"]["current"]


def max_memory_reserved(device=None):
    return memory_stats(device)["reserved_bytes"]["peak"]


def reset_peak_memory_stats(device=None):
    torch._C._accelerator_resetPeakStats(_index_of(device))


def reset_accumulated_memory_stats(device=None):
    torch._C._accelerator_resetAccumulatedStats(_index_of(device))


def memory_summary(device=None):
    return "\n".join(f"{name}: {value}" for name, value in memory_stats(device).items())


def empty_cache():
    torch._C._accelerator_emptyCache()


# ------------------------------------------------------------------ random numbers
# They come from the CPU's generator: an operator that draws waits for the queue.
def manual_seed(seed):
    torch.default_generator.manual_seed(int(seed))


def manual_seed_all(seed):
    manual_seed(seed)


def seed():
    torch.default_generator.seed()


def seed_all():
    seed()


def initial_seed():
    return torch.default_generator.initial_seed()


def get_rng_state(device="neuron"):
    return torch.default_generator.get_state()


def set_rng_state(new_state, device="neuron"):
    torch.default_generator.set_state(new_state)


# ------------------------------------------------------------------ compiled graphs
def get_dynamo_metrics():
    """One entry for each graph that torch.compile handed over; synchronises."""
    from .dynamo import graph_metrics

    synchronize()
    return list(graph_metrics)


def reset_dynamo_metrics():
    from .dynamo import graph_metrics

    graph_metrics.clear()


_imported = {"atexit", "dataclass", "time", "torch"}
__all__ = [name for name in dir() if not name.startswith("_") and name not in _imported]

atexit.register(_device.stop)
