"""The backend ``neuron`` of torch.compile: forward and backward graphs, each one program."""

import hashlib
import os
import time
from dataclasses import dataclass

import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters

from . import standin_device as device

# A new shape compiles anew, as on the real device, rather than making the graph dynamic.
torch._dynamo.config.automatic_dynamic_shapes = False

graph_metrics = []


@dataclass(frozen=True)
class NeuronCompilationMetrics:
    graph_id: int
    graph_name: str
    model_name: str
    has_collectives: bool
    graph_node_count: int
    timestamp: float
    torch_neuronx_fx_passes_us: int
    torch_neuronx_lower_us: int
    torch_neuronx_compile_us: int


def neuron(graph_module, example_inputs, **options):
    """Compile for the device. Shapes must be static; only the default mode exists."""
    del options
    if not torch._dynamo.config.assume_static_by_default or _has_symbols(example_inputs):
        raise ValueError(
            "the neuron backend does not support dynamic shapes: leave dynamic unset or pass "
            "dynamic=False to torch.compile"
        )
    compile_both = aot_autograd(fw_compiler=_compile, bw_compiler=_compile)
    return compile_both(graph_module, example_inputs)


def _has_symbols(values):
    return any(
        isinstance(value, torch.SymInt)
        or (isinstance(value, torch.Tensor) and _is_symbolic(value.shape))
        for value in values
    )


def _is_symbolic(shape):
    return any(isinstance(size, torch.SymInt) for size in shape)


def _compile(graph_module, example_inputs):
    key = _key_of(graph_module, example_inputs)
    graph_id = len(graph_metrics)
    begin_ns = time.monotonic_ns()
    device.compile_graph(key, "graph", int(os.environ.get("STANDIN_GRAPH_COMPILE_MS", "50")))
    counters["neuron"]["compiled_graphs"] += 1
    graph_metrics.append(
        NeuronCompilationMetrics(
            graph_id=graph_id,
            graph_name=f"graph_{graph_id}",
            model_name="model",
            has_collectives=False,
            graph_node_count=len(graph_module.graph.nodes),
            timestamp=time.time(),
            torch_neuronx_fx_passes_us=0,
            torch_neuronx_lower_us=0,
            torch_neuronx_compile_us=(time.monotonic_ns() - begin_ns) // 1000,
        )
    )

    def run(*inputs):
        device.begin_graph(key, "graph")
        try:
            return graph_module(*inputs)
        finally:
            device.end_graph()

    return make_boxed_func(run)


def _key_of(graph_module, example_inputs):
    """The same in every process for the same graph and shapes."""
    shapes = [
        (tuple(value.shape), str(value.dtype))
        for value in example_inputs
        if isinstance(value, torch.Tensor)
    ]
    content = f"{graph_module.code}\n{shapes}".encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little")
