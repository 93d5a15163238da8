"""What every backend promises, held against each one that can run here.

With ``--contract-backend NAME`` it is held against that one alone. Otherwise a stand-in that is
asynchronous, with a thread for a device, is held to it too, so that the checks are themselves
checked where there is no accelerator.
"""

from __future__ import annotations

import contextlib
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
from trnbench.models.mlp_training import make_program
from trnbench.models.registry import family

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


def pytest_generate_tests(metafunc):
    """``backend``: the one named on the command line, or all that can run here and the thread."""
    if "backend" in metafunc.fixturenames:
        named = metafunc.config.getoption("--contract-backend")
        tested = (named,) if named else (*AVAILABLE, ThreadBackend.name)
        metafunc.parametrize("backend", tested, indirect=True)


@pytest.fixture
def backend(request, start_backend):
    if request.param != ThreadBackend.name:
        return start_backend(request.param)
    made = ThreadBackend()
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
        return self.work()


def test_some_backend_is_tested_and_the_others_say_why_not(pytestconfig):
    named = pytestconfig.getoption("--contract-backend")

    assert "cpu" in AVAILABLE
    assert named is None or named in AVAILABLE
    assert set(FOUND) == set(registry.names())
    assert {"cpu", "cuda", "xpu", "mps"} <= set(registry.names())
    assert all(len(found.reason) > 10 for found in FOUND.values())


def test_class_attributes_are_stated(backend):
    assert backend.modes
    assert backend.modes[0] in {"eager", "lazy"}
    assert set(backend.modes) <= {"eager", "lazy", "compiled"}
    assert isinstance(backend.asynchronous, bool)
    assert 0 <= backend.warmup_seconds < 10
    assert backend.warmup_calls >= 1
    assert set(backend.modes_on_request) <= {"traced"}
    assert isinstance(backend.may_fuse, bool)
    assert 0 <= backend.compile_allowance_s <= 7200
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

    assert all(
        backend.refusal("fp32", mode) is None or backend.refusal("fp32", mode).reason
        for mode in (*backend.modes, *backend.modes_on_request)
    )
    assert backend.refusal("fp32", backend.modes[0]) is None
    assert "sideways" in refusal.reason
    assert backend.modes[0] in refusal.mend


def test_counters_stand_still_over_equal_calls(backend):
    call = Counted(backend, [])
    backend.time_sustained(call, 1)
    before = dict(backend.counters())
    backend.time_sustained(call, 5)
    backend.time_isolated(call, 5)

    assert dict(backend.counters()) == before
    assert all(isinstance(count, int) for count in before.values())


def training_step(backend):
    configuration = next(c for c in family("mlp_training").configurations if c.quick)
    return make_program(configuration.params, "fp32", 7).moved(backend.place)


def test_a_training_step_moves_its_parameters_and_nothing_is_compiled_after_the_warm_up(backend):
    program = training_step(backend)
    still = program.moved_parameters()
    # Two regimes of warm-up, as a case has; each is a program of its own where calls can fuse.
    for regime in (backend.time_sustained, backend.time_isolated):
        regime(program.bound_call(), max(backend.warmup_calls, 2))
    before = dict(backend.counters())
    backend.time_sustained(program.bound_call(), 4)
    backend.time_isolated(program.bound_call(), 4)

    assert still is False
    assert dict(backend.counters()) == before
    assert program.moved_parameters() is True


def used_ns(backend, call):
    """One call whose result is really used: read back to the host, whatever waiting does."""
    begin = time.perf_counter_ns()
    result = call()
    backend.synchronize()
    if isinstance(backend, ThreadBackend):
        backend.queue.join()
    else:
        result.cpu()
    return time.perf_counter_ns() - begin


def share_covered(backend, regime, call):
    """Wall time of a sample over that of a call whose result is used, the best of a few of
    each, in turn: the device is idle after a result was read."""
    pairs = [(getattr(backend, regime)(call, 1).wall_ns, used_ns(backend, call)) for _ in range(6)][
        1:
    ]
    sampled, used = zip(*pairs, strict=True)
    return min(sampled) / min(used)


def long_call(backend):
    """A call of some milliseconds, many times what handing it over costs."""
    if isinstance(backend, ThreadBackend):
        return Counted(backend, [])
    x = backend.place(torch.randn(768, 768) / 28)

    def call():
        product = x
        for _ in range(8):
            product = product @ x
        return product

    return call


@pytest.mark.parametrize("regime", ["time_sustained", "time_isolated"])
def test_what_nobody_uses_is_computed_and_waited_for(backend, regime):
    """A lazy device computes only what is alive when a step is cut, and any device beside the
    host goes on when a call has returned: what is dropped or not waited for costs nothing."""
    assert share_covered(backend, regime, long_call(backend)) > 0.3


@pytest.mark.parametrize("regime", ["time_sustained", "time_isolated"])
def test_what_is_not_waited_for_shows(regime):
    forgetful = ForgetfulBackend()
    forgetful.start(Settings())

    assert share_covered(forgetful, regime, long_call(forgetful)) < 0.3


def test_the_parts_of_a_call_add_up_to_it(backend):
    call = long_call(backend)
    pairs = [(dict(backend.split(call)), backend.time_isolated(call, 1)) for _ in range(8)][1:]
    splits = [split for split, _ in pairs]

    if backend.modes[0] != "lazy":
        assert splits == [{}] * 7
        return
    assert [list(split) for split in splits] == [["trace", "dispatch", "device"]] * 7
    assert all(nanoseconds > 0 for split in splits for nanoseconds in split.values())
    # The least disturbed of each.
    split = min(splits, key=lambda parts: sum(parts.values()))
    isolated_ns = min(stamp.wall_ns for _, stamp in pairs)
    assert 0.3 < sum(split.values()) / isolated_ns < 3
    assert split["device"] > 0.4 * sum(split.values())


def test_compile_time_only_grows_and_cache_files_are_counted(backend):
    call = Counted(backend, [])
    before_ns = backend.compile_time_ns()
    backend.time_sustained(call, 2)
    after_ns = backend.compile_time_ns()
    files = backend.cache_files()

    if before_ns is None:
        assert after_ns is None
    else:
        assert 0 <= before_ns <= after_ns
        assert isinstance(after_ns, int)
    assert files is None or files >= 0


def test_fallbacks_are_named_once_and_forgotten(backend):
    x = backend.place(torch.randn(8, 8))
    backend.clear_fallbacks()
    cleared = backend.fallbacks()
    backend.time_isolated(lambda: x + 1, 2)
    plain = backend.fallbacks()
    # A device that has no such operator may say so, which is as good as naming a fallback.
    with contextlib.suppress(NotImplementedError, RuntimeError):
        torch.linalg.eigvals(x)
        backend.synchronize()
    fell_back = backend.fallbacks()
    backend.clear_fallbacks()

    assert cleared == plain == ()
    assert fell_back == tuple(sorted(set(fell_back)))
    assert all("linalg_eig" in name for name in fell_back)
    assert backend.fallbacks() == ()


def test_ordinary_words_explain_nothing(backend):
    assert backend.explain("loss 0.25 after 10 steps") is None
    assert backend.explain("ValueError: shapes (3, 4) and (5, 6) don't match") is None
    assert backend.explain("") is None


def test_nobody_holds_the_device_or_it_is_said_who(backend):
    held = backend.busy(Settings())

    assert held is None or (isinstance(held, Refusal) and held.reason)


def test_device_memory_is_a_figure_or_a_reason(backend):
    used_bytes, note = backend.device_memory_bytes()

    assert note
    assert used_bytes is None or used_bytes >= 0


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


def parent_names(config):
    named = config.getoption("--contract-backend")
    return (named,) if named else registry.names()


def test_nothing_of_the_parent_s_part_imports_torch(pytestconfig):
    """The parent asks and prepares; only a worker pays for torch and claims a device."""
    names = parent_names(pytestconfig)
    program = (
        "import sys\n"
        "from trnbench.backends import registry\n"
        "from trnbench.backends.protocol import Settings\n"
        "for name in sys.argv[1:]:\n"
        "    backend = registry.create(name)\n"
        "    variables = {}\n"
        "    available = backend.availability().available\n"
        "    backend.prepare_environment(variables, Settings(threads=3))\n"
        "    backend.explain('nothing')\n"
        "    threads = [variables[name] for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')]\n"
        "    print(name, available, *threads, 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *names],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert names
    assert done.stdout.splitlines() == [f"{name} {name in AVAILABLE} 3 3 False" for name in names]


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
    if "cache_hits" in first:
        assert first["cache_hits"] + first["cache_misses"] >= 1
    assert same == first
    assert reshaped["graphs_compiled"] == before + 2
