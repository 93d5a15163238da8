"""The native Neuron backend's logic, on stand-ins for torch and its stack that note the order of
events."""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from trnbench.backends import neuron_environment, neuron_setup, neuron_usage
from trnbench.backends.neuron import NeuronBackend
from trnbench.backends.neuron_ls import ListedDevice, Owner
from trnbench.backends.neuron_setup import Surroundings
from trnbench.backends.neuron_usage import CorePlace
from trnbench.backends.protocol import KnownFailure, Settings

GIB = 2**30


class FakeStack:
    """torch_neuronx, with a compile cache in which nothing has moved yet."""

    def __init__(self, log):
        self.counts = {}
        self.compile_us = None
        self.graphs = []
        self.fallen = []
        self.enabled = False
        self.metrics = SimpleNamespace(
            set_enabled=self.enable,
            get_counter_value=self.count,
            get_metric_data=lambda name: (
                {"accumulator": self.compile_us, "total_samples": 1}
                if name == "CompilationCache.CompilationTime" and self.compile_us is not None
                else None
            ),
        )
        self.neuron = SimpleNamespace(get_dynamo_metrics=lambda: list(self.graphs))
        self.get_fallback_ops = lambda: list(self.fallen)
        self.clear_op_tracking = lambda: (log.append("forget"), self.fallen.clear())

    def enable(self, enabled):
        self.enabled = enabled

    def count(self, name):
        return self.counts.get(name)


class FakeTorch:
    """torch with two logical cores of a Trainium2."""

    class OutOfMemoryError(RuntimeError):
        pass

    def __init__(self, accelerator="neuron", available=True, name="trn2.48xlarge", memory=24 * GIB):
        self.log = []
        self.compiled = []
        device = None if accelerator is None else SimpleNamespace(type=accelerator)
        self.accelerator = SimpleNamespace(current_accelerator=lambda check_available: device)
        self.compiler = SimpleNamespace(reset=lambda: self.log.append("reset compiler"))
        self.compile = lambda function, **options: self.compiled.append((function, options))
        self.properties = SimpleNamespace(name=name, total_memory=memory)
        self.neuron = SimpleNamespace(
            is_available=lambda: available,
            init=lambda: self.log.append("init"),
            device_count=lambda: 2,
            set_device=lambda index: self.log.append(f"device {index}"),
            synchronize=lambda: self.log.append("wait"),
            get_device_properties=lambda index: self.properties,
            reset_peak_memory_stats=lambda: self.log.append("reset peak"),
            max_memory_allocated=lambda: self.log.append("peak") or 4096,
            memory_stats=lambda: {"num_ooms": 3, "num_alloc_retries": 1},
        )

    def call(self):
        self.log.append("call")


def make_setup(environ=None, owners=(), **changes):
    """An instance with one Trainium2, as it would be found there."""
    environ = os.environ if environ is None else environ
    nothing = Surroundings(
        root=Path("/nowhere"),
        version_of=lambda name: None,
        environ=environ,
        python=(3, 12),
        requires_python_of=lambda name: None,
    )
    listed = ListedDevice(0, 4, (0, 1, 2, 3), 96 * GIB, 2, None, (), tuple(owners), None)
    here = {
        "devices": ("neuron0",),
        "device_name": "Trainium2",
        "lnc": 2,
        "cores_present": 4,
        "physical_cores": 8,
        "driver": "2.31.7.0",
        "listed": (listed,),
    }
    return replace(neuron_setup.find_setup(nothing), **{**here, **changes})


def make_backend(fake, stack=None, setup=None):
    stack = stack or FakeStack(fake.log)
    return NeuronBackend(lambda: fake, lambda: stack, lambda: setup or make_setup())


def started(fake, stack=None, setup=None, settings=None):
    backend = make_backend(fake, stack, setup)
    backend.start(settings or Settings())
    fake.log.clear()
    return backend


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    """No variable of the stack is set, whatever this machine has."""
    for name in list(os.environ):
        if name.startswith(("NEURON_", "TORCH_NEURONX_")):
            monkeypatch.delenv(name)
    return monkeypatch


# --------------------------------------------------------------------- starting


def test_the_device_asked_for_is_claimed_and_waited_for():
    fake = FakeTorch()
    stack = FakeStack(fake.log)
    make_backend(fake, stack).start(Settings(device_index=1))

    assert fake.log == ["device 1", "wait"]
    assert stack.enabled


@pytest.mark.parametrize("index", [2, -1])
def test_only_a_device_that_is_there_is_claimed(index):
    with pytest.raises(RuntimeError, match=f"device {index} was asked for.*2 neuron devices"):
        make_backend(FakeTorch()).start(Settings(device_index=index))


def test_a_stack_that_cannot_be_imported_is_named():
    def missing():
        raise ImportError("libnrt.so.1: cannot open shared object file")

    backend = NeuronBackend(FakeTorch, missing, make_setup)
    with pytest.raises(RuntimeError, match=r"torch_neuronx can't be imported: libnrt.*install"):
        backend.start(Settings())


def test_the_torch_neuron_of_inferentia1_is_not_taken_for_this_stack():
    fake = FakeTorch()
    fake.neuron = SimpleNamespace(trace=None)
    with pytest.raises(RuntimeError, match=r"no torch\.neuron\.synchronize.*isn't the native"):
        make_backend(fake).start(Settings())
    del fake.neuron
    with pytest.raises(RuntimeError, match=r"no torch\.neuron\.synchronize"):
        make_backend(fake).start(Settings())


@pytest.mark.parametrize("answers", [None, "cuda", "xpu"])
def test_start_fails_where_another_device_answers(answers):
    with pytest.raises(RuntimeError, match=f"answers is {answers or 'none'}, and neuron was asked"):
        make_backend(FakeTorch(accelerator=answers)).start(Settings())


def test_start_asks_the_runtime_why_no_core_answers():
    fake = FakeTorch(available=False)
    with pytest.raises(RuntimeError, match="no NeuronCore answers"):
        make_backend(fake).start(Settings())
    assert fake.log == ["init"]

    def fail():
        raise RuntimeError("Failed to initialize Neuron Runtime: status code 1")

    fake.neuron.init = fail
    with pytest.raises(RuntimeError, match="status code 1"):
        make_backend(fake).start(Settings())
    del fake.neuron.init
    with pytest.raises(RuntimeError, match="no NeuronCore answers"):
        make_backend(fake).start(Settings())


# --------------------------------------------------------------------- timing


def test_sustained_waits_on_both_sides():
    fake = FakeTorch()
    stamp = started(fake).time_sustained(fake.call, 3)

    assert fake.log == ["wait", "call", "call", "call", "wait"]
    assert (stamp.calls, stamp.device_ns) == (3, None)


def test_isolated_waits_for_each_call():
    fake = FakeTorch()
    stamp = started(fake).time_isolated(fake.call, 3)

    assert fake.log == ["wait", *["call", "wait"] * 3]
    assert stamp.device_ns is None


def test_compiled_is_one_whole_static_graph_of_the_stack_s_own_compiler():
    fake = FakeTorch()
    compile_ = started(fake).compiler()
    compile_(len)

    assert fake.log == ["reset compiler"]
    assert fake.compiled == [(len, {"backend": "neuron", "fullgraph": True, "dynamic": False})]


def test_what_sets_the_backend_apart():
    assert NeuronBackend.modes == ("eager", "compiled")
    assert NeuronBackend.cases_per_process == 1
    assert NeuronBackend.compile_allowance_s == 1800
    assert NeuronBackend.warmup_calls >= 3
    assert NeuronBackend.asynchronous
    assert NeuronBackend.may_fuse
    assert NeuronBackend.claims_cores


# --------------------------------------------------------------------- counters


def test_counters_are_read_after_waiting_and_none_is_zero():
    fake = FakeTorch()
    counters = started(fake).counters()

    assert fake.log == ["wait"]
    assert {counters[name] for name in ("graphs_compiled", "cache_hits", "cache_misses")} == {0}


def test_programs_from_the_compiler_and_from_disk_are_graphs():
    fake = FakeTorch()
    stack = FakeStack(fake.log)
    backend = started(fake, stack)
    before = backend.counters()
    stack.counts = {
        "CompilationCache.TotalCompilations": 3,
        "CompilationCache.PersistentHits": 2,
        "CompilationCache.PersistentMisses": 3,
        "CompilationCache.InMemoryHits": 1000,
        "CompilationCache.InMemoryMisses": 5,
    }
    after = backend.counters()

    moved = {name: after[name] - before[name] for name in after}
    assert moved == {"graphs_compiled": 5, "cache_hits": 2, "cache_misses": 3, "dynamo_graphs": 0}


def test_look_ups_in_memory_move_nothing():
    fake = FakeTorch()
    stack = FakeStack(fake.log)
    backend = started(fake, stack)
    before = backend.counters()
    stack.counts = {"CompilationCache.InMemoryHits": 7}

    assert backend.counters() == before


def test_without_the_stack_s_counters_dynamo_s_are_left(monkeypatch):
    fake = FakeTorch()
    stack = FakeStack(fake.log)
    stack.metrics = SimpleNamespace()
    monkeypatch.setattr(
        "trnbench.backends.neuron_metrics.count_compilations", lambda: {"graphs_compiled": 4}
    )
    backend = started(fake, stack)

    assert backend.counters()["graphs_compiled"] == 4
    assert "metrics.get_counter_value" in backend.identity().facts["missing_names"]


def graph(passes_us, lower_us, compile_us):
    return SimpleNamespace(
        torch_neuronx_fx_passes_us=passes_us,
        torch_neuronx_lower_us=lower_us,
        torch_neuronx_compile_us=compile_us,
    )


def test_compile_time_counts_the_compiler_once():
    fake = FakeTorch()
    stack = FakeStack(fake.log)
    backend = started(fake, stack)
    assert backend.compile_time_ns() == 0

    stack.compile_us = 5_000_000.0
    assert backend.compile_time_ns() == 5_000_000_000
    stack.graphs = [graph(100, 200, 4_000_000), graph(10, 20, 1_000_000)]
    assert backend.compile_time_ns() == 5_000_330_000
    assert fake.log == ["wait"] * 3


@pytest.mark.parametrize(
    ("without", "expected"),
    [(("metrics",), 1_110_000), (("neuron",), 7000), (("metrics", "neuron"), None)],
)
def test_compile_time_from_what_this_release_has(without, expected):
    fake = FakeTorch()
    stack = FakeStack(fake.log)
    stack.compile_us, stack.graphs = 7.0, [graph(100, 10, 1000)]
    for name in without:
        setattr(stack, name, SimpleNamespace())

    assert started(fake, stack).compile_time_ns() == expected


def test_fallbacks_are_names_in_order_each_once_and_can_be_forgotten():
    fake = FakeTorch()
    stack = FakeStack(fake.log)
    backend = started(fake, stack)
    stack.fallen = ["aten::sort", "aten::eig", "aten::sort"]

    assert backend.fallbacks() == ("aten::eig", "aten::sort")
    backend.clear_fallbacks()
    assert backend.fallbacks() == ()
    assert fake.log == ["wait", "wait", "forget", "wait"]


def test_names_that_this_release_has_not_are_facts():
    fake = FakeTorch()
    stack = FakeStack(fake.log)
    assert started(fake, stack).identity().facts["missing_names"] == ""

    del stack.get_fallback_ops
    backend = started(fake, stack)
    assert backend.fallbacks() == ()
    assert backend.identity().facts["missing_names"] == "get_fallback_ops"


# --------------------------------------------------------------------- environment


def prepared(environment=None, **settings):
    prepared = dict(environment or {})
    make_backend(FakeTorch()).prepare_environment(prepared, Settings(**settings))
    return prepared


def test_a_worker_s_environment():
    found = prepared({"PATH": "/usr/bin:/bin"}, threads=3)

    assert found["NEURON_RT_VISIBLE_CORES"] == "0"
    assert found["TORCH_NEURONX_METRICS_ENABLED"] == "1"
    assert found["TORCH_NEURONX_DISABLE_FALLBACK_EXECUTION"] == "1"
    assert found["NEURON_PROCESS_TAG"] == neuron_environment.PROCESS_TAG
    assert found["OMP_NUM_THREADS"] == "3"
    assert "NEURON_LOGICAL_NC_CONFIG" not in found
    assert not [name for name in found if "CACHE" in name]
    own = str(Path(sys.executable).parent)
    assert found["PATH"].split(os.pathsep) == [own, "/usr/bin", "/bin", "/opt/aws/neuron/bin"]


def test_the_path_holds_each_folder_once():
    once = prepared({"PATH": "/opt/aws/neuron/bin:/bin"})
    assert max(Counter(once["PATH"].split(os.pathsep)).values()) == 1
    assert prepared(once) == once


def test_settings_reach_the_runtime(tmp_path):
    found = prepared(cores="2-3", lnc=1, cache=str(tmp_path))

    assert found["NEURON_RT_VISIBLE_CORES"] == "2-3"
    assert found["NEURON_LOGICAL_NC_CONFIG"] == "1"
    caches = {
        found[name]
        for name in (
            "TORCH_NEURONX_NEFF_CACHE_DIR",
            "TORCH_NEURONX_NEFF_LOCAL_CACHE_DIR",
            "TORCH_NEURONX_HLO_CACHE_DIR",
            "NEURON_COMPILE_CACHE_URL",
        )
    }
    assert len(caches) == 4
    assert all(Path(folder).parent == tmp_path for folder in caches)


COLLECTING = ("NEURON_EXTRACT_GRAPHS_ONLY", "TORCH_NEURONX_COMPILE_ONLY")


@pytest.mark.parametrize("value", ["1", "2", "on", "yes"])
@pytest.mark.parametrize("name", ["NEURON_LAUNCH_BLOCKING", *COLLECTING])
def test_variables_that_rule_measuring_out(variables, name, value):
    with pytest.raises(ValueError, match=f"{name}={value} .*unset it"):
        prepared({name: value})
    assert prepared({name: "0"})[name] == "0"
    variables.setenv(name, value)
    with pytest.raises(RuntimeError, match=f"{name}={value} .*unset it"):
        make_backend(FakeTorch()).start(Settings())


@pytest.mark.parametrize("name", COLLECTING)
def test_collecting_graphs_is_no_reason_not_to_compile(variables, name):
    assert prepared({name: "1"}, compile_only=True)[name] == "1"
    variables.setenv(name, "1")
    make_backend(FakeTorch()).start(Settings(compile_only=True))
    with pytest.raises(ValueError, match="NEURON_LAUNCH_BLOCKING=1"):
        prepared({"NEURON_LAUNCH_BLOCKING": "1"}, compile_only=True)


def test_a_quote_that_is_not_closed_is_refused_with_what_was_given():
    with pytest.raises(ValueError, match=r"NEURON_CC_FLAGS is: --x 'y; .*close the quote"):
        prepared({"NEURON_CC_FLAGS": "--x 'y"})


def test_what_the_user_said_of_integers_and_tags_is_left_alone():
    said = {
        "NEURON_CC_FLAGS": "--native-int64=disabled --implicit-integer-downcast=all",
        "NEURON_PROCESS_TAG": "mine",
    }
    found = prepared(said)

    assert {name: found[name] for name in said} == said


def test_files_of_the_cache_are_counted(tmp_path, variables, monkeypatch):
    backend = make_backend(FakeTorch())
    default = tmp_path / "default"
    monkeypatch.setattr(neuron_environment, "DEFAULT_CACHE", default)
    assert backend.cache_files() is None
    (default / "ab").mkdir(parents=True)
    (default / "ab" / "one.neff").touch()
    (default / "ab" / "two.neff").touch()
    assert backend.cache_files() == 2

    variables.setenv("TORCH_NEURONX_NEFF_CACHE_DIR", str(tmp_path / "named"))
    assert backend.cache_files() == 0
    (tmp_path / "named").mkdir()
    assert backend.cache_files() == 0
    for name in ("one.neff", "two.neff"):
        (tmp_path / "named" / name).touch()
    assert backend.cache_files() == 2


@pytest.mark.parametrize(
    ("flags", "executed"),
    [
        (None, "fp32"),
        ("--model-type=transformer", "fp32"),
        ("--auto-cast=none", "fp32"),
        ("--auto-cast none --auto-cast-type tf32", "fp32"),
        ("--auto-cast=all", "bf16"),
        ("--auto-cast matmult --auto-cast-type=tf32", "tf32"),
        ("-O1 --auto-cast=matmult --auto-cast-type fp16", "fp16"),
    ],
)
def test_the_executed_dtype_is_what_the_compiler_was_told(variables, flags, executed):
    if flags is not None:
        variables.setenv("NEURON_CC_FLAGS", flags)
    backend = started(FakeTorch())

    assert backend.executed_dtype("fp32") == executed
    assert backend.executed_dtype("bf16") == "bf16"
    assert backend.executed_dtype("fp64") == "fp32"
    assert backend.identity().facts["auto_cast"] == (
        None if "auto-cast" not in (flags or "") else backend.identity().facts["auto_cast"]
    )


#: Set by an import, and told to nobody: of another's prefix, a secret's name, or no plain value.
HIDDEN = {
    "NEURON_PROCESS_TAG": "alice",
    "NEURON_API_TOKEN": "hunter2",
    "NEURON_RT_API_KEY": "hunter3",
    "XLA_CLIENT_SECRET": "hunter4",
    "TORCH_NEURONX_PASSWORD": "hunter5",
    "PJRT_CREDENTIALS": "hunter6",
    "HF_HOME": "bob",
    "NEURON_RT_LOG_LOCATION": "/data/carol",
    "NEURON_RT_HOST": "10.1.2.3",
    "NEURON_RT_PEER": "ip-10-1-2-3",
    "NEURON_RT_INSTANCE": "i-0123456789abcdef0",
    "NEURON_RT_ACCOUNT": "210987654321",
    "XLA_FLAGS": "--xla_dump_to=dave",
    "XLA_LONG": "q" * 17,
}


def test_what_the_import_sets_is_a_fact_and_paths_are_not(variables):
    variables.setenv("NEURON_RT_STOCHASTIC_ROUNDING_EN", "1")
    variables.setenv("NEURON_CC_FLAGS", "--auto-cast=none --cache_dir=/home/someone/cache -O1")
    variables.setenv("TORCH_NEURONX_NEFF_CACHE_DIR", "/home/someone/cache")
    variables.setenv("NEURON_RT_ROOT_COMM_ID", "10.0.0.1:62182")
    fake = FakeTorch()

    def import_stack():
        variables.setenv("TORCH_NEURONX_ENABLE_ASYNC_NRT", "1")
        for name, value in HIDDEN.items():
            variables.setenv(name, value)
        return FakeStack(fake.log)

    backend = NeuronBackend(lambda: fake, import_stack, make_setup)
    backend.start(Settings())
    facts = backend.identity().facts

    assert facts["variables_set_by_import"] == "TORCH_NEURONX_ENABLE_ASYNC_NRT=1"
    assert facts["variables_set_by_import_not_told"] == len(HIDDEN)
    assert facts["stochastic_rounding"] == "1"
    assert facts["auto_cast"] == "none"
    assert facts["compiler_flags"] == "auto-cast=none cache_dir=(set) O1="
    told = " ".join(map(str, facts.values()))
    assert [
        word for word in ("someone", "10.0.0.1", *HIDDEN, *HIDDEN.values()) if word in told
    ] == []


@pytest.mark.parametrize("value", ["1", "trn2", "fp8_e4m3", "0-3", "2,3", "1.5", "-0.5"])
def test_a_plain_value_that_the_import_sets_is_told(value):
    facts = neuron_environment.describe({"XLA_A": "before"}, {"XLA_A": value, "PJRT_B": value})

    assert facts["variables_set_by_import"] == f"PJRT_B={value} XLA_A={value}"
    assert facts["variables_set_by_import_not_told"] == 0


def test_options_of_the_compiler_that_are_not_plain_are_not_told():
    flags = "--auto-cast=all --cache_dir=the-someone-bucket --dump someone.example --api-key abc"
    facts = neuron_environment.describe({}, {"NEURON_CC_FLAGS": flags})

    assert facts["compiler_flags"] == "auto-cast=all cache_dir=(set) dump=(set) api-key=(set)"
    assert facts["variables_set_by_import"] == ""


# --------------------------------------------------------------------- identity


def test_the_identity_is_of_one_logical_core():
    identity = started(FakeTorch(), settings=Settings(device_index=1)).identity()

    assert (identity.name, identity.index) == ("Trainium2", 1)
    assert (identity.chip, identity.share) == (None, None)
    assert identity.chip_reason
    assert identity.cores_used == 2
    assert identity.facts["mode"] == "LNC=2"
    assert identity.memory_bytes == 24 * GIB
    assert identity.driver == "2.31.7.0"
    assert not identity.simulated


def test_one_physical_core_is_one_device_at_lnc_1():
    identity = started(FakeTorch(), setup=make_setup(lnc=1, cores_present=8)).identity()

    assert identity.cores_used == 1
    assert identity.facts["mode"] == "LNC=1"


def test_what_nobody_tells_is_none():
    setup = make_setup(device_name=None, lnc=None, driver=None)
    identity = started(FakeTorch(memory=0), setup=setup).identity()

    assert identity.name == "trn2.48xlarge"
    assert (identity.cores_used, identity.memory_bytes, identity.driver) == (None, None, None)
    assert identity.facts["mode"] is None


def test_a_stand_in_is_known_by_its_name_and_has_no_chip():
    identity = started(FakeTorch(name="simulated Trainium2")).identity()

    assert identity.simulated
    assert identity.name == "simulated Trainium2"
    assert identity.chip is None
    assert identity.chip_reason == "a stand-in for hardware"


# --------------------------------------------------------------------- memory, errors


def test_peak_memory_is_of_tensors_only_and_read_after_waiting():
    fake = FakeTorch()
    backend = started(fake)
    backend.reset_peak_memory()
    peak_bytes, note = backend.peak_memory_bytes()

    assert peak_bytes == 4096
    assert "tensors only" in note
    assert fake.log == ["wait", "reset peak", "wait", "peak"]


def core_file(root, device, core, name, text):
    path = root / "sys/devices/virtual/neuron_device" / f"neuron{device}" / f"neuron_core{core}"
    path = path / "stats/memory_usage/device_mem" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("logical", "lnc", "chip", "place"),
    [
        (0, 2, "Trainium2", CorePlace(0, (0, 1))),
        (3, 2, "Trainium2", CorePlace(0, (6, 7))),
        (4, 2, "Trainium2", CorePlace(1, (0, 1))),
        (9, 1, "Trainium3", CorePlace(1, (1,))),
        (0, None, "Trainium2", None),
        (0, 2, None, None),
    ],
)
def test_where_a_logical_core_is(logical, lnc, chip, place):
    assert neuron_usage.place_core(logical, lnc, chip) == place


def test_device_memory_is_what_its_physical_cores_have_in_use(tmp_path, variables):
    for core in range(8):
        core_file(tmp_path, 0, core, "total", f"{10**core}\n")
        core_file(tmp_path, 0, core, "peak", "77777777777\n")
        core_file(tmp_path, 0, core, "tensors/total", "88888888888\n")
    variables.setenv("TRNBENCH_NEURON_ROOT", str(tmp_path))
    variables.setenv("NEURON_RT_VISIBLE_CORES", "1-2")

    first = started(FakeTorch()).device_memory_bytes()
    second = started(FakeTorch(), settings=Settings(device_index=1)).device_memory_bytes()

    assert (first[0], second[0]) == (10**2 + 10**3, 10**4 + 10**5)
    assert "programs" in first[1]


def test_device_memory_that_the_driver_does_not_show_is_a_reason(tmp_path, variables):
    variables.setenv("TRNBENCH_NEURON_ROOT", str(tmp_path))
    backend = started(FakeTorch())
    nothing = backend.device_memory_bytes()
    core_file(tmp_path, 0, 0, "total", "1")
    half = backend.device_memory_bytes()
    core_file(tmp_path, 0, 1, "total", "many")
    wrong = backend.device_memory_bytes()
    unknown = started(FakeTorch(), setup=make_setup(lnc=None)).device_memory_bytes()

    assert [found for found, _ in (nothing, half, wrong, unknown)] == [None] * 4
    assert "core 0" in nothing[1]
    assert "core 1" in half[1]
    assert "no number" in wrong[1]
    assert "can't be told" in unknown[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("POWER_STATUS_VALID,1787754540,0.32,3.04,1.57", 1.57),
        ("POWER_STATUS_NO_DATA,0,0,0,0", None),
        (None, None),
    ],
)
def test_health_is_power_in_percent_and_what_the_allocator_met(tmp_path, variables, text, expected):
    variables.setenv("TRNBENCH_NEURON_ROOT", str(tmp_path))
    device = tmp_path / "sys/devices/virtual/neuron_device/neuron0"
    if text is not None:
        (device / "stats/power").mkdir(parents=True)
        (device / "stats/power/utilization").write_text(text)
    # Linux's own power management has the same name beside it.
    (device / "power").mkdir(parents=True)
    (device / "power/utilization").write_text("POWER_STATUS_VALID,1787754540,9,9,9")
    health = started(FakeTorch()).health()

    assert health.get("power_mean_percent_of_maximum") == expected
    assert ("power_unknown" in health) == (text is not None and expected is None)
    assert (health["allocations_out_of_memory"], health["allocations_retried"]) == (3, 1)
    assert not [name for name in health if "watt" in name]


def test_health_where_the_allocator_tells_nothing():
    fake = FakeTorch()
    del fake.neuron.memory_stats

    assert started(fake).health()["allocations_out_of_memory"] is None


def test_out_of_memory_is_known_by_class_and_by_the_runtime_s_words(monkeypatch):
    backend = started(FakeTorch())
    said = {
        "allocate": KnownFailure("NRT 4", "OUT_OF_MEMORY", "cause", "mend"),
        "timeout": KnownFailure("NRT 5", "TIMEOUT", "cause", "mend"),
    }
    monkeypatch.setattr(
        NeuronBackend,
        "explain",
        lambda self, text: next((said[word] for word in said if word in text), None),
    )

    assert backend.is_out_of_memory(FakeTorch.OutOfMemoryError())
    assert backend.is_out_of_memory(MemoryError())
    assert backend.is_out_of_memory(RuntimeError("Failed to allocate 2GB on ND 0:NC 0"))
    assert not backend.is_out_of_memory(RuntimeError("device lost"))
    assert not backend.is_out_of_memory(RuntimeError("execution timeout"))
    assert not backend.is_out_of_memory(ValueError("can't allocate a seat"))


def test_words_of_the_stack_are_explained_here():
    known = make_backend(FakeTorch()).explain(
        "[NCC_EOOM001] The combined memory needed for the model's activation tensors exceeds"
    )

    assert known.status == "OUT_OF_MEMORY"
    assert make_backend(FakeTorch()).explain("all is well") is None


# --------------------------------------------------------------------- the parent's part


def test_a_device_with_another_process_on_it_is_busy():
    free = make_backend(FakeTorch())
    held = make_backend(FakeTorch(), setup=make_setup(owners=[Owner(4242, "2.35.30")]))

    assert free.busy(Settings()) is None
    assert held.busy(Settings()).reason == "1 other process holds cores of device 0"
    assert held.busy(Settings()).mend


def test_what_is_missing_here_is_said():
    found = make_backend(FakeTorch(), setup=make_setup(devices=(), driver=None)).availability()

    assert not found.available
    assert "torch-neuronx is not installed" in found.reason


def test_modes_that_there_are_not():
    backend = started(FakeTorch())

    assert backend.refusal("fp32", "eager") is None
    assert backend.refusal("int8", "compiled") is None
    assert "eager, compiled" in backend.refusal("fp32", "lazy").mend
