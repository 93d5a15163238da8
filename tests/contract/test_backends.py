"""What every backend promises, held against each one that can run here.

A stand-in that is asynchronous, with a thread for a device, is held to the same contract, so
that the checks are themselves checked where there is no accelerator.
"""

from __future__ import annotations

import gc
import queue
import subprocess
import sys
import threading
import time

import pytest
import torch

from trnbench.backends import registry
from trnbench.backends.protocol import (
    Availability,
    Backend,
    DeviceIdentity,
    Refusal,
    Settings,
    Stamp,
)
from trnbench.backends.timing import run_queued, run_synchronized, time_loop

WORK_S = 0.002


class ThreadBackend(Backend):
    """Work is queued for a thread; a call returns before its work is done."""

    name = "thread"
    asynchronous = True
    modes = ("eager",)
    warmup_seconds = 0.0

    def __init__(self):
        self.queue = queue.Queue()
        self.busy_ns = 0

    def availability(self):
        return Availability(available=True, reason="a thread is always there")

    def start(self, settings):
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self):
        while True:
            work = self.queue.get()
            begin = time.perf_counter_ns()
            work()
            self.busy_ns += time.perf_counter_ns() - begin
            self.queue.task_done()

    def identity(self):
        return DeviceIdentity("thread", None, "not in the catalog", None, 0, 1, None, None)

    def refusal(self, dtype, mode):
        return None if mode in self.modes else Refusal(f"no mode '{mode}'", "use eager")

    def place(self, value):
        return value

    def compiler(self):
        return lambda function: function

    def synchronize(self):
        self.queue.join()

    def time_sustained(self, call, calls):
        self.synchronize()
        return time_loop(call, calls, run_queued(self.synchronize))

    def time_isolated(self, call, calls):
        self.synchronize()
        return time_loop(call, calls, run_synchronized(self.synchronize))


class ForgetfulBackend(ThreadBackend):
    """The same with the bug that the contract must find: it never waits."""

    def synchronize(self):
        pass


FOUND = registry.availabilities()
AVAILABLE = tuple(name for name, found in FOUND.items() if found.available)
UNAVAILABLE = tuple(name for name in FOUND if name not in AVAILABLE)
TESTED = (*AVAILABLE, ThreadBackend.name)


@pytest.fixture(params=TESTED)
def backend(request):
    made = ThreadBackend() if request.param == "thread" else registry.create(request.param)
    made.start(Settings())
    return made


class Counted:
    """A call that notes itself in a log, and gives the device a little to do."""

    def __init__(self, backend, log):
        self.log = log
        x = backend.place(torch.ones(64, 64))
        if isinstance(backend, ThreadBackend):
            self.work = lambda: backend.queue.put(lambda: time.sleep(WORK_S))
        else:
            self.work = lambda: x @ x

    def __call__(self):
        self.log.append("call")
        self.work()


def test_some_backend_is_tested_and_the_others_are_named():
    assert "cpu" in AVAILABLE
    assert set(AVAILABLE) | set(UNAVAILABLE) == set(registry.names())
    assert {"cpu", "cuda", "xpu", "mps"} <= set(registry.names())


@pytest.mark.parametrize("name", UNAVAILABLE or ["none"])
def test_an_unavailable_backend_says_why(name):
    if name == "none":
        assert set(AVAILABLE) == set(registry.names())
        return
    found = FOUND[name]

    assert len(found.reason) > 10


def test_class_attributes_are_stated(backend):
    assert backend.modes
    assert backend.modes[0] in {"eager", "lazy"}
    assert set(backend.modes) <= {"eager", "lazy", "compiled"}
    assert isinstance(backend.asynchronous, bool)
    assert 0 <= backend.warmup_seconds < 10
    assert backend.warmup_calls >= 1
    assert backend.isolated_cache in {"warm", "flushed"}
    assert backend.cases_per_process is None or backend.cases_per_process >= 1


def test_identity_is_of_the_device_that_answers(backend):
    identity = backend.identity()

    assert identity.name
    assert (identity.chip is None) == bool(identity.chip_reason)
    assert identity.share is None or 0 < identity.share <= 1
    assert identity.index >= 0
    assert identity.cores_used is None or identity.cores_used >= 1
    assert identity.memory_bytes is None or identity.memory_bytes > 2**28


def test_a_placed_tensor_keeps_its_values_and_a_placed_module_computes(backend):
    x = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    linear = torch.nn.Linear(4, 2)
    expected = linear(x)

    placed = backend.place(x)
    result = backend.place(linear)(placed)
    backend.synchronize()

    assert torch.equal(placed.cpu(), x)
    torch.testing.assert_close(result.cpu(), expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("calls", [1, 3, 10])
@pytest.mark.parametrize("regime", ["time_sustained", "time_isolated"])
def test_a_sample_makes_exactly_the_calls_that_it_reports(backend, regime, calls):
    log = []

    stamp = getattr(backend, regime)(Counted(backend, log), calls)

    assert isinstance(stamp, Stamp)
    assert log == ["call"] * calls
    assert stamp.calls == calls
    assert stamp.wall_ns > 0
    assert stamp.cpu_ns >= 0
    assert stamp.involuntary_switches >= 0
    assert stamp.device_ns is None or stamp.device_ns > 0


@pytest.mark.parametrize("calls", [1, 4])
def test_isolated_waits_after_each_call_and_sustained_once(backend, calls):
    log = []
    call = Counted(backend, log)
    really_wait = backend.synchronize

    def wait():
        really_wait()
        log.append("wait")

    backend.synchronize = wait
    backend.time_sustained(call, calls)
    sustained = _squeeze(log)
    log.clear()
    backend.time_isolated(call, calls)
    isolated = _squeeze(log)

    if not backend.asynchronous:
        assert sustained == isolated == ["call"] * calls
        return
    assert sustained == ["wait", *["call"] * calls, "wait"]
    assert isolated == ["wait", *["call", "wait"] * calls]


def _squeeze(log):
    """Waits that follow one another are one: the second finds nothing to wait for."""
    return [entry for i, entry in enumerate(log) if entry == "call" or log[i - 1 : i] != ["wait"]]


def _covers_the_device(backend, regime):
    """Wall time of a sample over the time that the device was busy with it."""
    calls = 10
    call = Counted(backend, [])
    before_ns = backend.busy_ns
    stamp = getattr(backend, regime)(call, calls)
    backend.queue.join()
    return stamp.wall_ns / (backend.busy_ns - before_ns)


@pytest.mark.parametrize("regime", ["time_sustained", "time_isolated"])
def test_a_missing_synchronisation_shows_by_a_wide_margin(regime):
    careful, forgetful = ThreadBackend(), ForgetfulBackend()
    careful.start(Settings())
    forgetful.start(Settings())

    with_waiting = _covers_the_device(careful, regime)
    without = _covers_the_device(forgetful, regime)

    assert with_waiting >= 1
    assert without < 0.5 * with_waiting


@pytest.mark.parametrize("was_on", [True, False])
@pytest.mark.parametrize("regime", ["time_sustained", "time_isolated"])
def test_collection_is_off_inside_a_sample_and_as_before_afterwards(backend, regime, was_on):
    seen = []
    before = gc.isenabled()
    (gc.enable if was_on else gc.disable)()
    try:
        getattr(backend, regime)(lambda: seen.append(gc.isenabled()), 2)
        after = gc.isenabled()
    finally:
        (gc.enable if before else gc.disable)()

    assert seen == [False, False]
    assert after is was_on


def test_a_call_that_raises_is_not_hidden_and_leaves_collection_on(backend):
    def fail():
        raise ZeroDivisionError("mine")

    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError, match="mine"):
        backend.time_sustained(fail, 1)

    assert gc.isenabled()


def test_modes_are_refused_with_a_reason_and_a_mend(backend):
    refusal = backend.refusal("fp32", "sideways")

    assert backend.refusal("fp32", backend.modes[0]) is None
    assert "sideways" in refusal.reason
    assert backend.modes[0] in refusal.mend


def test_counters_stand_still_over_equal_calls(backend):
    call = Counted(backend, [])
    backend.time_sustained(call, 1)
    before = dict(backend.counters())
    backend.time_sustained(call, 5)

    assert dict(backend.counters()) == before
    assert all(isinstance(count, int) for count in before.values())


def test_peak_memory_is_a_figure_or_a_reason(backend):
    backend.reset_peak_memory()
    peak_bytes, note = backend.peak_memory_bytes()

    assert note
    assert peak_bytes is None or peak_bytes >= 0


def test_health_is_flat_facts(backend):
    health = backend.health()

    assert all(isinstance(v, str | int | float | bool | None) for v in health.values())


def test_only_lack_of_memory_is_taken_for_it(backend):
    assert backend.is_out_of_memory(MemoryError())
    assert not backend.is_out_of_memory(ValueError("out of range"))
    assert not backend.is_out_of_memory(RuntimeError("shapes don't match"))


def test_the_executed_dtype_is_a_name(backend):
    assert backend.executed_dtype("bf16") == "bf16"
    assert backend.executed_dtype("fp32") in {"fp32", "tf32", "bf16"}


@pytest.mark.parametrize("name", registry.names())
def test_nothing_of_the_parent_s_part_imports_torch(name):
    """The parent asks and prepares; only a worker pays for torch and claims a device."""
    program = (
        "import sys\n"
        "from trnbench.backends import registry\n"
        "from trnbench.backends.protocol import Settings\n"
        f"backend = registry.create({name!r})\n"
        "print(backend.availability().available)\n"
        "variables = {}\n"
        "backend.prepare_environment(variables, Settings(threads=3))\n"
        "print(sorted(variables.values()))\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    available, variables, has_torch = done.stdout.splitlines()

    assert available == str(name in AVAILABLE)
    assert variables == "['3', '3']"
    assert has_torch == "False"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_recompilation_moves_a_counter(backend):
    if "compiled" not in backend.modes:
        assert backend.refusal("fp32", "compiled") is not None
        return
    assert backend.refusal("fp32", "compiled") is None
    x, longer = backend.place(torch.ones(8)), backend.place(torch.ones(9))
    compiled = backend.compiler()(lambda value: value * 2 + 1)
    before = backend.counters()["graphs_compiled"]
    result = compiled(x)
    first = dict(backend.counters())
    compiled(x)
    same = dict(backend.counters())
    compiled(longer)
    reshaped = dict(backend.counters())

    assert torch.equal(result.cpu(), torch.full((8,), 3.0))
    assert first["graphs_compiled"] == before + 1
    assert first["cache_hits"] + first["cache_misses"] >= 1
    assert same == first
    assert reshaped["graphs_compiled"] == before + 2
