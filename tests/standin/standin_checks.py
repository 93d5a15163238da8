"""What the stand-in promises beside right results; run as a program, it tries each promise.

Prints a JSON object: the name of each check, and "" or what went wrong. Wants
``TORCH_NEURONX_METRICS_ENABLED=1``, ``STANDIN_MEMORY_BYTES`` of 64 MiB and an empty NEFF cache.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import itertools
import json
import os
import re
import signal
import threading
import time
import traceback
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

MIB = 2**20
CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


def raises(words, function, *arguments):
    with pytest.raises(RuntimeError, match=re.escape(words)):
        function(*arguments)


def tensors(count, *shape):
    """Tensors on the device and the same on the host."""
    generator = torch.Generator().manual_seed(0)
    host = [torch.randn(*shape, generator=generator) for _ in range(count)]
    return [tensor.to("neuron") for tensor in host], host


def compiles():
    import torch_neuronx

    torch.neuron.synchronize()
    name = "CompilationCache.TotalCompilations"
    return torch_neuronx.metrics.get_counter_value(name) or 0


# ------------------------------------------------------------------ names
@check
def autoloaded_with_torch():
    import sys

    assert "torch_neuronx" in sys.modules
    assert torch.neuron.is_available()
    assert not torch.neuron.is_initialized()  # nothing has touched the device so far
    assert torch.accelerator.current_accelerator().type == "neuron"


@check
def names_of_the_native_package():
    import torch_neuronx

    for name in [
        "is_available",
        "is_initialized",
        "init",
        "device_count",
        "current_device",
        "set_device",
        "device",
        "get_device_properties",
        "get_device_name",
        "synchronize",
        "Stream",
        "stream",
        "current_stream",
        "default_stream",
        "set_stream",
        "Event",
        "memory_allocated",
        "max_memory_allocated",
        "memory_reserved",
        "max_memory_reserved",
        "reset_peak_memory_stats",
        "reset_accumulated_memory_stats",
        "memory_stats",
        "memory_summary",
        "empty_cache",
        "manual_seed",
        "manual_seed_all",
        "seed",
        "seed_all",
        "initial_seed",
        "get_rng_state",
        "set_rng_state",
        "get_dynamo_metrics",
        "reset_dynamo_metrics",
        "get_amp_supported_dtype",
        "is_bf16_supported",
    ]:
        assert callable(getattr(torch.neuron, name)), name
        assert getattr(torch_neuronx, name) is getattr(torch.neuron, name), name
    assert not hasattr(torch.neuron, "mem_get_info")
    assert torch_neuronx.__version__ == "0.1.0"
    assert importlib.metadata.version("torch-neuronx") == "2.13.3.0"


@check
def properties_say_that_it_is_simulated():
    properties = torch.neuron.get_device_properties(0)
    assert properties.name == "simulated trn2"
    assert properties.total_memory == 64 * MIB
    assert torch.neuron.get_device_name() == "neuron:0"
    assert torch.neuron.device_count() == 4  # a Trainium2 device at LNC=2


@check
def devices_by_index():
    x = torch.ones(3, device="neuron:2")
    assert str((x + x).device) == "neuron:2"
    with torch.neuron.device(1):
        assert torch.neuron.current_device() == 1
        assert str(torch.empty(1, device="neuron").device) == "neuron:1"
    assert torch.neuron.current_device() == 0
    assert torch.neuron.memory_allocated(2) == 12
    raises("out of range", torch.neuron.set_device, 4)


@check
def events_keep_the_time_of_the_host():
    from torch_neuronx import standin

    x = torch.zeros(4, device="neuron")
    begin, end = torch.neuron.Event(enable_timing=True), torch.neuron.Event(enable_timing=True)
    with standin.held():
        begin.record()
        standin.busy(x, 1000)
        end.record()
        # Known before the kernel has begun: this can't be time of the device.
        assert begin.elapsed_time(end) >= 0
        assert not end.query()
    end.synchronize()
    assert end.query()
    raises("created with timing enabled", torch.neuron.Event().elapsed_time, end)


# ------------------------------------------------------------------ the queue
@check
def operators_return_before_their_work_is_done():
    from torch_neuronx import standin

    (x, y, image, kernel), _ = tensors(4, 4, 4, 4, 4)
    weight = torch.randn(4, 4).to("neuron").requires_grad_()
    table = torch.randn(7, 4).to("neuron")
    rows = torch.tensor([1, 2]).to("neuron")
    torch.neuron.synchronize()
    work = {
        "add": lambda: x + y,
        "mm": lambda: x[0, 0] @ y[0, 0],
        "bmm": lambda: x[0] @ y[0],
        "linear": lambda: F.linear(x, weight),
        "conv2d": lambda: F.conv2d(image, kernel),
        "softmax": lambda: x.softmax(-1),
        "layer_norm": lambda: F.layer_norm(x, (4,)),
        "rms_norm": lambda: F.rms_norm(x, (4,)),
        "attention": lambda: F.scaled_dot_product_attention(x, y, x, is_causal=True),
        "embedding": lambda: F.embedding(rows, table),
        "cross_entropy": lambda: F.cross_entropy(table[:2], rows),
        "index": lambda: table[rows],
        "sum": x.sum,
        "max": lambda: x.max(-1),
        "cast": lambda: x.to(torch.bfloat16),
        "in_place": lambda: x.mul_(2),
        "out": lambda: torch.add(x, y, out=torch.empty_like(x)),
        "cat": lambda: torch.cat([x, y]),
        "int_mm": lambda: torch._int_mm(
            torch.ones_like(x).view(4, 64).char().repeat(8, 1),
            torch.zeros_like(x).view(64, 4).repeat(1, 4).char(),
        ),
        "zeros": lambda: torch.zeros(3, device="neuron"),
        "backward": lambda: F.linear(x, weight).square().sum().backward(),
        "foreach": lambda: torch._foreach_add_([x, y], 1.0),
        "contiguous": lambda: x.transpose(0, 1).contiguous(),
        "busy": lambda: standin.busy(x, 10),
    }
    assert len(work) > 20
    waited = []
    for name, call in work.items():
        before = standin.pending()
        with standin.held():
            try:
                call()
                assert standin.pending() > before, name
            except RuntimeError as error:
                waited.append(f"{name}: {error}")
        torch.neuron.synchronize()
    assert not waited, waited


@check
def reading_waits():
    from torch_neuronx import standin

    (x,), (host,) = tensors(1, 4)
    with standin.held():
        y = x + 1
        for read in (y.cpu, y.sum().item, lambda: torch.nonzero(y), lambda: y[y > 0], y.tolist):
            raises("held", read)
        raises("held", torch.neuron.synchronize)
        raises("held", torch.accelerator.synchronize)
        assert standin.pending() > 0
    assert torch.equal(y.cpu(), host + 1)
    torch.neuron.synchronize()
    assert standin.pending() == 0


@check
def unfinished_work_is_not_visible():
    from torch_neuronx import standin

    x = torch.zeros(4).to("neuron")
    standin.take_stamps()
    begin_ns = time.monotonic_ns()
    with standin.held():
        standin.busy(x, 2000)
        returned_ns = time.monotonic_ns()
        assert standin.take_stamps() == []
    torch.neuron.synchronize()
    (stamp,) = standin.take_stamps()
    assert begin_ns <= stamp.enqueued_ns <= returned_ns <= stamp.begin_ns
    assert stamp.synchronized_ns >= stamp.end_ns


@check
def busy_lasts_as_long_as_it_says_and_in_order():
    from torch_neuronx import standin

    x = torch.arange(4.0).to("neuron")
    standin.busy(x, 10)
    torch.neuron.synchronize()
    standin.take_stamps()
    results = [standin.busy(x, us) for us in (100, 1000, 3000)]
    torch.neuron.synchronize()
    stamps = standin.take_stamps()
    for stamp, microseconds in zip(stamps, (100, 1000, 3000), strict=True):
        assert stamp.end_ns - stamp.begin_ns >= microseconds * 1000
    for before, after in itertools.pairwise(stamps):
        assert before.end_ns <= after.begin_ns
    assert all(s.hand_over_ns > 0 for s in stamps)
    assert standin.take_stamps() == []
    assert all(torch.equal(result.cpu(), torch.arange(4.0)) for result in results)
    raises("microseconds > 0", standin.busy, x, 0)


@check
def what_python_drops_lives_until_its_work_is_done():
    from torch_neuronx import standin

    (x,), (host,) = tensors(1, 256, 256)
    with standin.held():
        for _ in range(5):
            x = x * 2 + 1  # each intermediate loses its last name here
            gc.collect()
            torch.empty(256, 256, device="neuron").fill_(-1.0)
    for _ in range(5):
        host = host * 2 + 1
    assert torch.equal(x.cpu(), host)


@check
def growing_keeps_what_was_queued():
    from torch_neuronx import standin

    x = torch.zeros(4).to("neuron")
    with standin.held():
        x.add_(3)
        x.resize_(4096)
        x[4:] = 5
    assert x.cpu().tolist() == [3.0] * 4 + [5.0] * 4092


@check
def host_scalars_are_taken_as_they_were():
    from torch_neuronx import standin

    x, factor = torch.ones(4).to("neuron"), torch.tensor(2.0)
    with standin.held():
        y = x * factor
        factor.fill_(100)
    assert y.cpu().tolist() == [2.0] * 4


@check
def tensors_of_two_devices_are_refused():
    (x,), (host,) = tensors(1, 4, 4)
    for call in (lambda: x + host, lambda: host @ x, lambda: F.linear(x, host)):
        raises("Expected all tensors to be on the same device", call)
    module = torch.nn.Linear(4, 4)
    raises("Expected all tensors to be on the same device", module, x)


@check
def mistakes_are_told_at_once():
    (x, y), _ = tensors(2, 3, 4)
    raises("mat1 and mat2 shapes cannot be multiplied", torch.mm, x, y)
    raises("size of tensor a", torch.add, x, torch.zeros(5).to("neuron"))
    torch.neuron.synchronize()  # and nothing is left of them


@check
def other_threads_run_while_one_waits():
    from torch_neuronx import standin

    x = torch.zeros(4).to("neuron")
    turns, done = [], threading.Event()

    def take_turns():
        while not done.wait(0.001):
            turns.append(1)

    threading.Thread(target=take_turns, daemon=True).start()
    try:
        for wait in (torch.neuron.synchronize, x.cpu, x.sum().item):
            standin.busy(x, 100_000)
            before = len(turns)
            wait()
            assert len(turns) > before + 3, wait
    finally:
        done.set()


@check
def synchronisations_are_counted():
    from torch_neuronx import standin

    torch.neuron.synchronize()
    before = standin.synchronizations()
    torch.neuron.synchronize()
    torch.accelerator.synchronize()
    assert standin.synchronizations() == before + 2


# ------------------------------------------------------------------ memory
@check
def memory_is_counted():
    gc.collect()
    start = torch.neuron.memory_allocated()
    torch.neuron.reset_peak_memory_stats()
    x = torch.empty(MIB, dtype=torch.uint8, device="neuron")
    assert torch.neuron.memory_allocated() == start + MIB == torch.accelerator.memory_allocated()
    view = x[:10]
    del x
    assert torch.neuron.memory_allocated() == start + MIB
    y = view.clone()
    del view
    assert torch.neuron.memory_allocated() == start + 10
    assert torch.neuron.max_memory_allocated() == start + MIB + 10
    assert torch.accelerator.max_memory_allocated() == start + MIB + 10
    torch.neuron.reset_peak_memory_stats()
    assert torch.neuron.max_memory_allocated() == start + 10
    del y


@check
def the_peak_does_not_depend_on_the_thread():
    from torch_neuronx import standin

    x = torch.zeros(MIB // 4).to("neuron")

    def peak(held):
        torch.neuron.reset_peak_memory_stats()
        base = torch.neuron.memory_allocated()
        y = x
        with standin.held() if held else contextlib.nullcontext():
            for _ in range(10):
                y = y + 1
        torch.neuron.synchronize()
        return torch.neuron.max_memory_allocated() - base

    assert peak(held=False) == peak(held=True) == 2 * MIB


@check
def statistics_are_nested():
    stats = torch.neuron.memory_stats()
    for name in ("allocated_bytes", "reserved_bytes", "active_bytes"):
        assert set(stats[name]) == {"current", "peak", "allocated", "freed"}, name
    before = stats["allocation_requests"], stats["num_tensor_frees"]
    torch.empty(3, device="neuron")
    stats = torch.neuron.memory_stats()
    assert (stats["allocation_requests"], stats["num_tensor_frees"]) == (
        before[0] + 1,
        before[1] + 1,
    )
    assert stats["num_alloc_retries"] == 0


@check
def a_full_device_says_so_and_goes_on():
    before = torch.neuron.memory_stats()["num_ooms"]
    raises(
        "Failed to allocate 96.000MB (usage: tensors) on ND 0:NC 0",
        lambda: torch.empty(96 * MIB, dtype=torch.uint8, device="neuron"),
    )
    assert torch.neuron.memory_stats()["num_ooms"] == before + 1
    raises("Failed to allocate 4.000GB", lambda: torch.empty(2**30, device="neuron"))
    assert torch.ones(3, device="neuron").sum().item() == 3


# ------------------------------------------------------------------ programs
@check
def compiles_stand_still_on_repeated_shapes():
    import torch_neuronx

    (x, y), _ = tensors(2, 13, 17)
    step = lambda: (x + y).softmax(-1).sum()  # noqa: E731
    start = compiles()
    step()
    first = compiles()
    assert first > start
    hits = torch_neuronx.metrics.get_counter_value("CompilationCache.InMemoryHits") or 0
    for _ in range(3):
        step()
    assert compiles() == first
    assert torch_neuronx.metrics.get_counter_value("CompilationCache.InMemoryHits") > hits
    (x, y), _ = tensors(2, 13, 18)
    step()
    assert compiles() > first


@check
def each_program_is_a_file():
    folder = Path(os.environ["TORCH_NEURONX_NEFF_CACHE_DIR"])
    torch.neuron.synchronize()
    before = len(list(folder.glob("*.neff")))
    start = compiles()
    (x,), _ = tensors(1, 19, 23)
    x.exp()
    made = compiles() - start
    assert made == 1
    assert len(list(folder.glob("*.neff"))) == before + made


@check
def metrics_can_be_switched_off_and_cleared():
    from torch_neuronx import metrics

    name = "CompilationCache.InMemoryHits"
    x = torch.zeros(3).to("neuron")
    x.exp(), x.exp()
    torch.neuron.synchronize()
    data = metrics.get_metric_data("CompilationCache.CompilationTime")
    assert data["total_samples"] > 0
    assert set(data) == {"accumulator", "total_samples", "repr"}
    assert name in metrics.get_compilation_metrics()
    assert name in metrics.report()
    count = metrics.get_counter_value(name)
    metrics.set_enabled(False)
    x.exp()
    torch.neuron.synchronize()
    assert metrics.get_counter_value(name) == count
    metrics.set_enabled(True)
    metrics.clear_all()
    assert metrics.get_counter_value(name) is None
    assert metrics.get_metric_data("CompilationCache.CompilationTime") is None


@check
def a_graph_is_one_program():
    import torch_neuronx
    from torch._dynamo.utils import counters

    torch.neuron.reset_dynamo_metrics()
    graphs = counters["neuron"]["compiled_graphs"]
    function = torch.compile(
        lambda x, y: (x @ y).relu().sum(-1) * 3, backend="neuron", fullgraph=True, dynamic=False
    )
    (x, y), (a, b) = tensors(2, 11, 11)
    start = compiles()
    torch.testing.assert_close(function(x, y).cpu(), (a @ b).relu().sum(-1) * 3)
    assert compiles() == start + 1  # one for the graph, none for its operators
    function(x, y)
    assert compiles() == start + 1
    (metric,) = torch.neuron.get_dynamo_metrics()
    assert metric.graph_node_count > 3
    assert metric.torch_neuronx_compile_us >= 0
    assert counters["neuron"]["compiled_graphs"] == graphs + 1
    (x, y), _ = tensors(2, 12, 12)
    function(x, y)  # a new shape is a new graph, not a dynamic one
    assert len(torch.neuron.get_dynamo_metrics()) == 2
    assert torch_neuronx.get_fallback_ops() == []


@check
def forward_and_backward_are_two_graphs():
    torch.neuron.reset_dynamo_metrics()
    module = torch.nn.Linear(5, 3).to("neuron")
    function = torch.compile(module, backend="neuron", fullgraph=True, dynamic=False)
    for _ in range(3):
        function(torch.ones(2, 5).to("neuron")).sum().backward()
    assert len(torch.neuron.get_dynamo_metrics()) == 2
    assert module.weight.grad.cpu().tolist() == [[6.0] * 5] * 3


@check
def a_graph_waits_for_nothing():
    from torch_neuronx import standin

    function = torch.compile(lambda x: (x + 1).softmax(-1), backend="neuron", dynamic=False)
    x = torch.zeros(4).to("neuron")
    function(x)
    with standin.held():
        function(x)
        assert standin.pending() > 0


@check
def dynamic_shapes_are_rejected():
    function = torch.compile(lambda x: x * 2, backend="neuron", dynamic=True)
    with pytest.raises(Exception, match="does not support dynamic shapes"):  # wrapped by dynamo
        function(torch.ones(3).to("neuron"))


@check
def executed_operators_are_listed():
    import torch_neuronx

    torch_neuronx.clear_op_tracking()
    assert torch_neuronx.get_executed_ops() == []
    (x,), _ = tensors(1, 4, 4)
    x @ x
    torch.neuron.synchronize()
    assert torch_neuronx.get_executed_ops() == ["aten::mm"]
    assert torch_neuronx.get_fallback_ops() == []


@check
def autocast_computes_in_bf16():
    (x, y), _ = tensors(2, 4, 4)
    with torch.autocast(device_type="neuron", dtype=torch.bfloat16):
        assert (x @ y).dtype == torch.bfloat16
        assert (x @ y).softmax(-1).dtype == torch.float32
    assert (x @ y).dtype == torch.float32


@check
def a_forked_child_is_refused():
    torch.neuron.synchronize()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # it would wait for a thread that it hasn't
        try:
            torch.zeros(3, device="neuron")
            words = "nothing"
        except RuntimeError as error:
            words = str(error)
        os.write(writing, words.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        words = pipe.read()
    os.waitpid(child, 0)
    assert "Cannot re-initialize Neuron runtime in forked subprocess" in words, words
    assert "'spawn' start method" in words


def main():
    outcome = {}
    for name, function in CHECKS.items():
        try:
            function()
        except BaseException:  # noqa: BLE001 (any failure is the outcome of that check)
            outcome[name] = traceback.format_exc()
        else:
            outcome[name] = ""
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
