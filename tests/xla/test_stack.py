"""What the backends rely on in real torch_xla, and what goes wrong without it."""

from __future__ import annotations

import time
from itertools import pairwise, repeat
from types import SimpleNamespace

import pytest
import torch

from trnbench.backends.neuron_xla import NeuronXlaBackend
from trnbench.backends.protocol import Settings
from trnbench.backends.timing import time_loop
from trnbench.backends.xla import XlaBackend, import_stack
from trnbench.models.mlp_training import make_program
from trnbench.models.registry import family

SIZE = 768


class DroppingBackend(XlaBackend):
    """The bug that costs days: the result of a call is gone when its step is cut."""

    def time_sustained(self, call, calls):
        def loop(call, calls):
            for _ in repeat(None, calls):
                call()
                self._stack.torch_xla.sync()
            self.synchronize()

        self.synchronize()
        return time_loop(call, calls, loop)


class HastyBackend(XlaBackend):
    """The other one: a step is cut with ``wait=True``, and the device isn't waited for."""

    def synchronize(self):
        self._stack.torch_xla.sync(wait=True)


@pytest.fixture
def xla(start_backend):
    return start_backend("xla")


def started(kind, xla):
    backend = kind()
    backend.start(Settings())
    return backend


def chain(backend, size=SIZE):
    x = backend.place(torch.randn(size, size) / size**0.5)
    backend.synchronize()

    def call():
        product = x
        for _ in range(8):
            product = product @ x
        return product

    return call


def least_ns(backend, call):
    return min(backend.time_sustained(call, 2).wall_ns for _ in range(4))


def test_a_backend_that_drops_results_does_no_work(xla):
    call = chain(xla)

    assert least_ns(started(DroppingBackend, xla), call) < 0.1 * least_ns(xla, call)


def test_cutting_with_wait_returns_before_the_device_is_done(xla):
    call = chain(xla)
    hasty = started(HastyBackend, xla)

    assert least_ns(hasty, call) < 0.5 * least_ns(xla, call)
    xla.synchronize()


@pytest.mark.parametrize("wait", [False, True])
def test_a_cut_alone_is_short_against_the_wait(xla, wait):
    call, stack = chain(xla), import_stack()
    shares = []
    for _ in range(4):
        xla.synchronize()
        output = call()
        begin = time.perf_counter_ns()
        stack.torch_xla.sync(wait=wait)
        cut = time.perf_counter_ns()
        stack.model.wait_device_ops()
        shares.append((cut - begin) / (time.perf_counter_ns() - begin))
        del output

    assert min(shares) < 0.2


class Step:
    """A call with a result that stays alive (a buffer) and one that it returns."""

    def __init__(self, backend):
        self.x = backend.place(torch.randn(33, 33) / 33**0.5)
        self.state = backend.place(torch.zeros(33, 33))
        backend.synchronize()

    def __call__(self):
        self.state = self.state * 0.5 + self.x
        return self.state @ self.x


def test_a_warm_up_that_drops_results_compiles_another_graph(xla):
    call = Step(xla)
    started(DroppingBackend, xla).time_sustained(call, 4)
    warm = xla.counters()["graphs_compiled"]
    xla.time_sustained(call, 4)
    met_while_timing = xla.counters()["graphs_compiled"] - warm

    again = Step(xla)
    xla.time_sustained(again, 4)
    warm = xla.counters()["graphs_compiled"]
    xla.time_sustained(again, 4)
    xla.time_isolated(again, 4)

    assert met_while_timing == 1
    assert xla.counters()["graphs_compiled"] == warm


def test_a_training_step_is_two_graphs_and_no_more(xla):
    configuration = next(c for c in family("mlp_training").configurations if c.quick)
    # Shapes that no other test has met.
    params = {**configuration.params, "tokens": 24, "width": 40, "hidden": 56}
    program = make_program(params, "fp32", 7).moved(xla.place)
    xla.synchronize()
    call, counts = program.bound_call(), [xla.counters()["graphs_compiled"]]
    for _ in range(6):
        xla.time_isolated(call, 1)
        counts.append(xla.counters()["graphs_compiled"])

    compiled = [after - before for before, after in pairwise(counts)]
    assert compiled[0] >= 1
    assert compiled[1] >= 1
    assert compiled[2:] == [0, 0, 0, 0]
    assert xla.warmup_calls >= 3


def test_a_shape_met_again_is_not_compiled_again(xla):
    def count(size):
        before = xla.counters()["graphs_compiled"], xla.compile_time_ns()
        xla.time_isolated(chain(xla, size), 2)
        return xla.counters()["graphs_compiled"] - before[0], xla.compile_time_ns() - before[1]

    first, second, other = count(37), count(37), count(38)

    assert first[0] == other[0] == 1
    assert first[1] > 0
    assert second == (0, 0)


def test_reading_a_value_back_is_no_fallback_and_a_missing_kernel_is(xla):
    x = xla.place(torch.randn(6, 6))
    xla.clear_fallbacks()
    assert (x.sum() > 0).item() in {True, False}
    read_back = xla.fallbacks()
    torch.linalg.eigvals(x)
    missing = xla.fallbacks()
    xla.clear_fallbacks()
    cleared = xla.fallbacks()
    torch.linalg.eigvals(x)

    assert read_back == cleared == ()
    assert missing == xla.fallbacks() == ("aten::linalg_eig",)


def test_compiled_mode_computes_what_nobody_uses_and_counts_its_graphs(xla):
    x = xla.place(torch.randn(SIZE, SIZE) / SIZE**0.5)
    compiled = xla.compiler()(lambda value: value @ value @ value @ value)
    before = xla.counters()
    xla.time_isolated(lambda: compiled(x), 2)
    made = xla.counters()
    used_ns = least_ns(xla, lambda: compiled(x))
    dropped_ns = least_ns(started(DroppingBackend, xla), lambda: compiled(x))
    torch.testing.assert_close(compiled(x).cpu(), torch.linalg.matrix_power(x.cpu(), 4))

    assert made["graphs_compiled"] == before["graphs_compiled"] + 1
    assert made["graphs_extracted"] == before["graphs_extracted"] + 1
    assert xla.counters() == made
    assert dropped_ns > 0.3 * used_ns


def test_memory_is_unknown_on_a_cpu_and_says_why(xla):
    xla.reset_peak_memory()
    peak_bytes, note = xla.peak_memory_bytes()

    assert peak_bytes is None
    assert "UNIMPLEMENTED" in note


class NamedModel:
    """The real ``xla_model``, on a device that says that it is another."""

    def __init__(self, model, hardware, kind):
        self.model = model
        self.xla_device_hw = lambda _: hardware
        self.xla_device_kind = lambda _: kind

    def __getattr__(self, name):
        return getattr(self.model, name)


def neuron(kind, hardware="NEURON", **facts):
    def load():
        stack = import_stack()
        return SimpleNamespace(
            torch=stack.torch,
            torch_xla=stack.torch_xla,
            metrics=stack.metrics,
            model=NamedModel(stack.model, hardware, kind),
        )

    return NeuronXlaBackend(
        load_stack=load, find_setup=lambda: SimpleNamespace(device_name=None, **facts)
    )


def test_neuron_runs_its_lazy_path_on_the_real_library(xla, monkeypatch):
    monkeypatch.setenv("PJRT_DEVICE", "NEURON")
    backend = neuron("NC_v2")
    backend.start(Settings())
    call = chain(backend)
    stamp = backend.time_sustained(call, 3)
    before = backend.counters()
    again = backend.time_isolated(call, 3)

    assert min(stamp.wall_ns, again.wall_ns) > 0
    assert backend.counters() == before
    assert list(backend.split(call)) == ["trace", "dispatch", "device"]


def test_neuron_refuses_the_cpu_that_the_real_library_answers_with(xla, monkeypatch):
    monkeypatch.setenv("PJRT_DEVICE", "NEURON")
    backend = NeuronXlaBackend(find_setup=lambda: SimpleNamespace(device_name="Trainium1"))

    with pytest.raises(RuntimeError, match=r"answers is CPU \(cpu\), and neuron-xla needs NEURON"):
        backend.start(Settings())
