"""The generic XLA backend, on a lazy stand-in that computes only what is alive at a cut."""

from __future__ import annotations

import os
import weakref
from itertools import repeat
from types import SimpleNamespace

import pytest

from trnbench.backends import xla as module
from trnbench.backends import xla_environment
from trnbench.backends.protocol import Settings
from trnbench.backends.timing import time_loop
from trnbench.backends.xla import XlaBackend, XlaStack

#: Under these graphs are collected, and compiling is all that can be done.
COLLECTING = ("NEURON_EXTRACT_GRAPHS_ONLY", "TORCH_NEURONX_COMPILE_ONLY")
NAMES = (*COLLECTING, *xla_environment.RULED_OUT)


class Result:
    """What a call gives: alive as long as somebody holds it."""


class FakeXla:
    """torch_xla as far as it is used. ``record`` is an operator; a graph is the names of those
    whose results are alive when a step is cut, and is compiled once."""

    def __init__(self, hardware="CPU", kind="cpu", devices=1, memory=None):
        self.log, self.pending, self.queued, self.done = [], [], [], []
        self.compiled, self.moved, self.threads = set(), [], None
        self.counts, self.compile_ns, self.memory = {}, 0, memory
        self.metrics = SimpleNamespace(
            counter_value=self.counts.get,
            metric_data=lambda name: (1, float(self.compile_ns), ()) if self.compile_ns else None,
            executed_fallback_ops=lambda: [n for n in self.counts if n.startswith("aten::")],
        )
        self.torch_xla = SimpleNamespace(
            sync=self.sync,
            devices=lambda: [f"xla:{i}" for i in range(devices)],
            device=lambda index: f"xla:{index}",
        )
        self.model = SimpleNamespace(
            wait_device_ops=self.wait,
            xla_device_hw=lambda _: hardware,
            xla_device_kind=lambda _: kind,
            get_memory_info=self.get_memory_info,
        )
        self.torch = SimpleNamespace(
            set_num_threads=lambda count: setattr(self, "threads", count),
            get_num_threads=lambda: self.threads,
            compiler=SimpleNamespace(reset=lambda: self.log.append("reset")),
            compile=lambda function, **options: (function, options),
        )

    def load(self):
        return XlaStack(self.torch, self.torch_xla, self.model, self.metrics)

    def record(self, name):
        self.log.append("call")
        result = Result()
        self.pending.append((name, weakref.ref(result)))
        return result

    def sync(self):
        self.log.append("cut")
        graph = tuple(name for name, result in self.pending if result() is not None)
        self.pending.clear()
        if not graph:
            return
        known = graph in self.compiled
        self.compiled.add(graph)
        self.count("CachedCompile" if known else "UncachedCompile")
        self.compile_ns += 0 if known else 1000
        self.queued.append(graph)

    def count(self, name):
        self.counts[name] = self.counts.get(name, 0) + 1

    def wait(self):
        self.log.append("wait")
        self.done += self.queued
        self.queued.clear()

    def get_memory_info(self, _):
        if self.memory is None:
            raise RuntimeError("Bad StatusOr access: UNIMPLEMENTED: GetAllocatorStats\nat 0x12")
        return self.memory


class DroppingBackend(XlaBackend):
    """The bug: the result of a call is gone when its step is cut."""

    def time_sustained(self, call, calls):
        def loop(call, calls):
            for _ in repeat(None, calls):
                call()
                self._stack.torch_xla.sync()
            self.synchronize()

        self.synchronize()
        return time_loop(call, calls, loop)


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    for name in (*NAMES, "NPROC", "XLA_PERSISTENT_CACHE_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PJRT_DEVICE", "CPU")


def started(fake, kind=XlaBackend, settings=None):
    backend = kind(fake.load)
    backend.start(settings or Settings())
    fake.log.clear()
    return backend


# ------------------------------------------------------------------------------------- timing


def test_sustained_cuts_after_each_call_and_waits_once():
    fake = FakeXla()
    stamp = started(fake).time_sustained(lambda: fake.record("mm"), 3)

    assert fake.log == ["cut", "wait", *["call", "cut"] * 3, "cut", "wait"]
    assert (stamp.calls, stamp.device_ns) == (3, None)


def test_isolated_cuts_and_waits_after_each_call():
    fake = FakeXla()
    started(fake).time_isolated(lambda: fake.record("mm"), 3)

    assert fake.log == ["cut", "wait", *["call", "cut", "wait"] * 3]


@pytest.mark.parametrize("regime", ["time_sustained", "time_isolated"])
def test_every_result_is_computed_though_nobody_uses_it(regime):
    fake = FakeXla()
    getattr(started(fake), regime)(lambda: fake.record("mm"), 4)

    assert fake.done == [("mm",)] * 4
    assert fake.counts == {"UncachedCompile": 1, "CachedCompile": 3}


def test_the_same_without_the_result_does_nothing():
    fake = FakeXla()
    started(fake, DroppingBackend).time_sustained(lambda: fake.record("mm"), 4)

    assert fake.done == []


class Step:
    """A call with a result that stays alive, such as a parameter, and one that it returns."""

    def __init__(self, fake):
        self.fake = fake
        self.parameter = None

    def __call__(self):
        self.parameter = self.fake.record("parameter")
        return self.fake.record("loss")


def test_the_warm_up_compiles_the_graph_of_the_samples():
    fake = FakeXla()
    backend, step = started(fake), Step(fake)
    backend.time_sustained(step, 3)
    warm = backend.counters()
    backend.time_sustained(step, 3)
    backend.time_isolated(step, 3)

    assert backend.counters() == warm
    assert set(fake.done) == {("parameter", "loss")}


def test_a_warm_up_that_drops_results_compiles_another():
    fake = FakeXla()
    backend, step = started(fake), Step(fake)
    started(fake, DroppingBackend).time_sustained(step, 3)
    warm = backend.counters()
    backend.time_sustained(step, 3)

    assert backend.counters()["graphs_compiled"] == warm["graphs_compiled"] + 1


def test_a_result_is_let_go_once_its_step_is_cut():
    fake, alive = FakeXla(), []
    backend = started(fake)

    def call():
        alive.append(sum(result() is not None for result in kept))
        result = fake.record("mm")
        kept.append(weakref.ref(result))
        return result

    for regime in (backend.time_sustained, backend.time_isolated):
        kept = []
        regime(call, 4)

    assert alive == [0] * 8


def test_a_call_is_split_in_three(monkeypatch):
    fake, ticks = FakeXla(), iter([100, 103, 110, 200])
    backend = started(fake)
    monkeypatch.setattr(module.time, "perf_counter_ns", lambda: next(ticks))

    assert backend.split(lambda: fake.record("mm")) == {"trace": 3, "dispatch": 7, "device": 90}
    assert fake.log == ["cut", "wait", "call", "cut", "wait"]
    assert fake.done == [("mm",)]


# ----------------------------------------------------------------------------- what it counts


def test_graphs_that_the_process_has_already_are_no_counter():
    fake = FakeXla()
    backend = started(fake)
    assert backend.counters() == {"graphs_compiled": 0, "graphs_extracted": 0}
    backend.time_sustained(lambda: fake.record("mm"), 5)
    fake.count("DynamoExtractCompiledGraph")

    assert backend.counters() == {"graphs_compiled": 1, "graphs_extracted": 1}


def test_look_ups_are_counted_where_there_is_a_cache_on_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("XLA_PERSISTENT_CACHE_PATH", str(tmp_path))
    fake = FakeXla()
    fake.counts |= {
        "PersistentCacheHit": 3,
        "PersistentCacheMiss": 2,
        "PersistentCacheDeserializeFailure": 1,
    }
    counts = started(fake).counters()

    assert (counts["cache_hits"], counts["cache_misses"]) == (3, 3)


def test_compile_time_is_the_library_s_own():
    fake = FakeXla()
    backend = started(fake)
    before = backend.compile_time_ns()
    backend.time_sustained(lambda: fake.record("mm"), 2)

    assert (before, backend.compile_time_ns()) == (0, 1000)


def test_files_of_the_cache_are_counted_where_there_is_one(monkeypatch, tmp_path):
    backend = started(FakeXla())
    assert backend.cache_files() is None
    monkeypatch.setenv("XLA_PERSISTENT_CACHE_PATH", str(tmp_path / "xla"))
    assert backend.cache_files() == 0
    (tmp_path / "xla" / "deeper").mkdir(parents=True)
    (tmp_path / "xla" / "one").touch()
    (tmp_path / "xla" / "deeper" / "two").touch()

    assert backend.cache_files() == 2


def test_fallbacks_are_those_since_they_were_cleared():
    fake = FakeXla()
    fake.counts["aten::nonzero"] = 1
    backend = started(fake)
    backend.clear_fallbacks()
    assert backend.fallbacks() == ()
    fake.count("aten::nonzero")
    fake.count("aten::linalg_eig")
    assert backend.fallbacks() == ("aten::linalg_eig", "aten::nonzero")
    backend.clear_fallbacks()

    assert backend.fallbacks() == ()


def test_reading_a_value_back_is_no_fallback():
    fake = FakeXla()
    backend = started(fake)
    backend.clear_fallbacks()
    fake.count("aten::_local_scalar_dense")

    assert backend.fallbacks() == ()


def test_memory_that_is_not_told_has_a_reason_of_one_line():
    backend = started(FakeXla())
    backend.reset_peak_memory()

    peak_bytes, reason = backend.peak_memory_bytes()
    assert peak_bytes is None
    assert reason.startswith("this PJRT device gives no memory statistics: Bad StatusOr access")
    assert reason.endswith("UNIMPLEMENTED: GetAllocatorStats")


def test_the_peak_is_known_only_where_it_was_reached_since_the_reset():
    memory = {"peak_bytes_used": 500, "bytes_limit": 1000}
    backend = started(FakeXla("TPU", "TPU v4", memory=memory), settings=tpu())
    backend.reset_peak_memory()
    below, reason = backend.peak_memory_bytes()
    memory["peak_bytes_used"] = 700

    assert below is None
    assert "before" in reason
    assert backend.peak_memory_bytes()[0] == 700
    assert backend.identity().memory_bytes == 1000


def tpu():
    os.environ["PJRT_DEVICE"] = "TPU"  # undone by the fixture
    return Settings()


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8589934592 bytes"), True),
        (MemoryError(), True),
        (RuntimeError("INVALID_ARGUMENT: shapes"), False),
        (ValueError("RESOURCE_EXHAUSTED"), False),
    ],
)
def test_lack_of_memory_is_known_by_its_words(error, wanted):
    assert started(FakeXla()).is_out_of_memory(error) is wanted


# ----------------------------------------------------------------------------------- starting


@pytest.mark.parametrize(
    ("asked", "answers"),
    [("CPU", "TPU"), ("TPU", "CPU"), ("CUDA", "CPU"), ("NEURON", "NEURON"), ("CPU", "NEURON")],
)
def test_another_device_than_the_one_asked_for_is_refused(monkeypatch, asked, answers):
    monkeypatch.setenv("PJRT_DEVICE", asked)

    with pytest.raises(RuntimeError, match=f"answers is {answers} .*and {asked} was asked for"):
        XlaBackend(FakeXla(answers).load).start(Settings())


def test_a_device_that_nobody_named_is_refused(monkeypatch):
    monkeypatch.delenv("PJRT_DEVICE")

    with pytest.raises(RuntimeError, match="PJRT_DEVICE isn't set"):
        XlaBackend(FakeXla().load).start(Settings())


@pytest.mark.parametrize("index", [-1, 2])
def test_a_device_that_is_not_there_is_refused(index):
    with pytest.raises(RuntimeError, match=f"device {index} was asked for, and there are 2 XLA"):
        XlaBackend(FakeXla(devices=2).load).start(Settings(device_index=index))


def test_a_library_that_cannot_be_imported_is_named():
    def load():
        raise ImportError("undefined symbol: _ZN5torch4lazy")

    with pytest.raises(RuntimeError, match="can't be imported: undefined symbol"):
        XlaBackend(load).start(Settings())


def test_tensors_go_to_the_device_asked_for():
    backend = started(FakeXla(devices=2), settings=Settings(device_index=1, threads=3))

    assert backend.place(SimpleNamespace(to=lambda device: device)) == "xla:1"
    assert backend._stack.torch.get_num_threads() == 3


RULED_OUT = [(name, value) for name in NAMES for value in ("1", "true", "yes", "on", "2", " ")]


@pytest.mark.parametrize(("name", "value"), RULED_OUT)
def test_a_variable_that_changes_what_is_computed_is_refused(monkeypatch, name, value):
    assert len(RULED_OUT) >= 12
    with pytest.raises(ValueError, match=f"{name}={value} .*: unset it"):
        XlaBackend().prepare_environment({name: value}, Settings())
    monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=f"{name}={value} .*: unset it"):
        XlaBackend(FakeXla().load).start(Settings())


@pytest.mark.parametrize("name", COLLECTING)
def test_collecting_graphs_is_no_reason_not_to_compile(monkeypatch, name):
    compiling = Settings(compile_only=True)
    XlaBackend().prepare_environment({name: "1"}, compiling)
    monkeypatch.setenv(name, "1")
    XlaBackend(FakeXla().load).start(compiling)
    monkeypatch.setenv("XLA_USE_SPMD", "1")
    with pytest.raises(RuntimeError, match="XLA_USE_SPMD=1"):
        XlaBackend(FakeXla().load).start(compiling)


@pytest.mark.parametrize("value", ["", "0", "false", "False"])
def test_the_same_variable_switched_off_is_not(value):
    XlaBackend().prepare_environment({"NEURON_EXTRACT_GRAPHS_ONLY": value}, Settings())


@pytest.mark.parametrize(
    ("given", "settings", "wanted"),
    [
        ({}, Settings(), {"PJRT_DEVICE": "CPU"}),
        ({"PJRT_DEVICE": "TPU"}, Settings(), {"PJRT_DEVICE": "TPU"}),
        ({}, Settings(cache="/c"), {"PJRT_DEVICE": "CPU"}),
        (
            {"PJRT_DEVICE": "TPU"},
            Settings(cache="/c", threads=2),
            {
                "PJRT_DEVICE": "TPU",
                "XLA_PERSISTENT_CACHE_PATH": "/c/xla",
                "OMP_NUM_THREADS": "2",
                "MKL_NUM_THREADS": "2",
            },
        ),
        (
            {},
            Settings(threads=2),
            {
                "PJRT_DEVICE": "CPU",
                "NPROC": "2",
                "OMP_NUM_THREADS": "2",
                "MKL_NUM_THREADS": "2",
            },
        ),
    ],
)
def test_the_environment_of_a_worker(given, settings, wanted):
    environment = dict(given)
    XlaBackend().prepare_environment(environment, settings)

    assert environment == wanted


# ------------------------------------------------------------------------------- what is here


def found(monkeypatch, tmp_path, torch="2.9.1", xla="2.9.0", device=None, files=()):
    versions = {"torch": torch, "torch-xla": xla}
    monkeypatch.setattr(module, "find_version", versions.get)
    monkeypatch.delenv("PJRT_DEVICE")
    if device:
        monkeypatch.setenv("PJRT_DEVICE", device)
    for name in files:
        (tmp_path / name).touch()
    return XlaBackend(dev=tmp_path).availability()


@pytest.mark.parametrize(
    ("facts", "available", "words"),
    [
        ({}, True, "PJRT_DEVICE=CPU (none is set)"),
        ({"device": "TPU"}, True, "PJRT_DEVICE=TPU"),
        ({"torch": "2.9.0+cpu"}, True, "PJRT_DEVICE=CPU"),
        ({"xla": None}, False, "torch-xla is not installed"),
        ({"torch": "2.13.0"}, False, "built for torch 2.9, and torch 2.13.0 is here"),
        ({"files": ["neuron0"]}, False, "AWS Neuron's, which is the backend neuron-xla"),
        ({"files": ["neuron0"], "device": "CPU"}, True, "PJRT_DEVICE=CPU"),
        ({"files": ["neuron"]}, True, "PJRT_DEVICE=CPU"),
        ({"device": "NEURON"}, False, "neuron-xla"),
    ],
)
def test_availability(monkeypatch, tmp_path, facts, available, words):
    availability = found(monkeypatch, tmp_path, **facts)

    assert availability.available is available
    assert words in availability.reason
    assert bool(availability.mend) is not available


def test_the_identity_is_of_the_processor_and_the_cores_that_are_used(monkeypatch):
    monkeypatch.setattr(
        module,
        "read_cpu",
        lambda: {
            "model_name": "Some 9000",
            "architecture": "x86_64",
            "physical_cores": 4,
            "logical_cores": 8,
        },
    )
    backend = started(FakeXla())
    whole = backend.identity()
    monkeypatch.setenv("NPROC", "2")

    assert whole.name == "Some 9000 (XLA's CPU device)"
    assert (whole.chip, whole.share, whole.cores_used) == (None, None, 4)
    assert (whole.facts["pjrt_device"], whole.facts["device_kind"]) == ("CPU", "cpu")
    assert backend.identity().cores_used == 2


def test_the_identity_of_another_device_is_its_kind():
    identity = started(FakeXla("TPU", "TPU v4"), settings=tpu()).identity()

    assert (identity.name, identity.cores_used, identity.memory_bytes) == ("TPU v4", None, None)


def test_modes():
    fake = FakeXla()
    backend = started(fake)
    function, options = backend.compiler()("function")

    assert [backend.refusal("fp32", mode) for mode in backend.modes] == [None, None]
    assert "use one of: lazy, compiled" in backend.refusal("fp32", "eager").mend
    assert fake.log == ["reset"]
    assert function == "function"
    assert options == {"backend": "openxla", "fullgraph": True, "dynamic": False}
    assert (backend.warmup_calls, backend.cases_per_process) == (3, None)
