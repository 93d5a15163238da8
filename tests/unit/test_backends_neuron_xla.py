"""The XLA backend on Neuron: its environment, its identity, and what it refuses."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from trnbench.backends import neuron_setup, neuron_xla
from trnbench.backends.neuron_facts import NeuronSetup
from trnbench.backends.neuron_xla import NeuronXlaBackend
from trnbench.backends.protocol import Settings
from trnbench.backends.xla import XlaStack
from trnbench.bench.roofs import identified
from trnbench.results.record import Device
from trnbench.specs.catalog import load_catalog

GB32, GB96 = 32 * 2**30, 96 * 2**30


def a_setup(device_name="Trainium1", **changes):
    """One chip with the XLA stack beside it."""
    cores, memory_bytes = {"Trainium2": (8, GB96), "Trainium3": (8, None)}.get(
        device_name, (2, GB32)
    )
    facts = {
        "stack": "xla",
        "version": "2.9.0.2.15.32035",
        "versions": {"torch": "2.9.1", "torch-xla": "2.9.0", "libneuronxla": "2.2.17544.0"},
        "all_versions": ("2.9.0.2.15.32035",),
        "python": (3, 11),
        "requires_python": None,
        "environ": {},
        "devices": ("neuron0",),
        "closed": (),
        "device_name": device_name,
        "instance_family": None,
        "instance_type": None,
        "lnc": None,
        "lnc_source": "",
        "cores_present": None,
        "physical_cores": cores,
        "memory_bytes": memory_bytes,
        "driver": "2.29.0.0",
        "runtime": "2.33.10.0",
        "runtime_source": "dpkg",
        "packages": {},
        "sdk": "2.31.0",
        "listed": None,
        "notes": (),
    }
    return NeuronSetup(**facts | changes)


class FakeStack:
    """torch_xla with one Neuron device, and ``torch_neuronx.trace``."""

    def __init__(self, kind="NC_v2", hardware="NEURON"):
        self.log, self.counts, self.traced = [], {"UncachedCompile": 5}, []
        self.metrics = SimpleNamespace(
            counter_value=self.counts.get,
            metric_data=lambda _: (5, 700.0, ()),
            executed_fallback_ops=list,
        )
        self.torch_xla = SimpleNamespace(
            sync=lambda: self.log.append("cut"),
            devices=lambda: ["xla:0"],
            device=lambda index: f"xla:{index}",
        )
        self.model = SimpleNamespace(
            wait_device_ops=lambda: self.log.append("wait"),
            xla_device_hw=lambda _: hardware,
            xla_device_kind=lambda _: kind,
        )

    def load(self):
        return XlaStack(SimpleNamespace(), self.torch_xla, self.model, self.metrics)

    def trace(self, function, inputs):
        self.traced.append(inputs)
        return lambda *given: ("traced", function(*given))

    def call(self):
        self.log.append("call")


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("NEURON_", "XLA_", "PJRT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PJRT_DEVICE", "NEURON")


def a_backend(fake=None, setup=None):
    fake = fake or FakeStack()
    return NeuronXlaBackend(fake.load, lambda: fake.trace, lambda: setup or a_setup())


def started(fake=None, setup=None, settings=None):
    backend = a_backend(fake, setup)
    backend.start(settings or Settings())
    if fake:
        fake.log.clear()
    return backend


def prepared(given=None, **settings):
    environment = {"HOME": str(Path.home())} | (given or {})
    a_backend().prepare_environment(environment, Settings(**settings))
    return environment


# -------------------------------------------------------------------------- the environment


def test_a_worker_gets_one_core_of_a_neuron_device():
    environment = prepared()

    assert environment["PJRT_DEVICE"] == "NEURON"
    assert environment["NEURON_RT_VISIBLE_CORES"] == "0"
    assert environment["NEURON_CC_FLAGS"] == "--auto-cast=none"
    assert "NEURON_LOGICAL_NC_CONFIG" not in environment
    assert "NEURON_COMPILE_CACHE_URL" not in environment
    assert prepared(cores="2-3")["NEURON_RT_VISIBLE_CORES"] == "2-3"


def test_another_device_for_xla_is_refused():
    with pytest.raises(ValueError, match=r"PJRT_DEVICE=CPU is set, and neuron-xla needs NEURON"):
        prepared({"PJRT_DEVICE": "CPU"})


COLLECTING = ("NEURON_EXTRACT_GRAPHS_ONLY", "TORCH_NEURONX_COMPILE_ONLY")


@pytest.mark.parametrize("name", [*COLLECTING, "XLA_USE_BF16"])
def test_what_computes_something_else_is_refused(monkeypatch, name):
    with pytest.raises(ValueError, match=f"{name}=1 .*: unset it"):
        prepared({name: "1"})
    monkeypatch.setenv(name, "1")
    with pytest.raises(RuntimeError, match=f"{name}=1 .*: unset it"):
        a_backend().start(Settings())


@pytest.mark.parametrize("name", COLLECTING)
def test_collecting_graphs_is_no_reason_not_to_compile(monkeypatch, name):
    assert prepared({name: "1"}, compile_only=True)[name] == "1"
    monkeypatch.setenv(name, "1")
    a_backend().start(Settings(compile_only=True))
    with pytest.raises(ValueError, match="XLA_USE_BF16=1"):
        prepared({"XLA_USE_BF16": "1"}, compile_only=True)


FLAGS = [
    ("", {}, "--auto-cast=none"),
    ("-O1", {}, "-O1 --auto-cast=none"),
    ("--auto-cast=all", {}, "--auto-cast=all"),
    ("--auto-cast matmult --auto-cast-type tf32", {}, "--auto-cast matmult --auto-cast-type tf32"),
    # What casts to which type says nothing about whether anything is cast.
    ("--auto-cast-type=fp16", {}, "--auto-cast-type=fp16 --auto-cast=none"),
    ("", {"lnc": 1}, "--auto-cast=none --logical-nc-config=1"),
    ("--lnc=2", {"lnc": 2}, "--lnc=2 --auto-cast=none"),
    ("-lnc 2", {"lnc": 2}, "-lnc 2 --auto-cast=none"),
    ("--cache_dir=/mine", {}, "--cache_dir=/mine --auto-cast=none"),
    ("", {"cache": "/run"}, "--auto-cast=none"),
    (
        "--cache_dir=/mine -O1",
        {"cache": "/run"},
        "-O1 --auto-cast=none --cache_dir=/run/neuronx_cc",
    ),
    (
        "-O1 --cache_dir /mine --x",
        {"cache": "/run"},
        "-O1 --x --auto-cast=none --cache_dir=/run/neuronx_cc",
    ),
    # What was quoted stays one word.
    ("--opts='-x y' -O1", {}, "'--opts=-x y' -O1 --auto-cast=none"),
    (
        "--cache_dir='/a b' --opts '-x y'",
        {"cache": "/run"},
        "--opts '-x y' --auto-cast=none --cache_dir=/run/neuronx_cc",
    ),
]


@pytest.mark.parametrize(("given", "settings", "wanted"), FLAGS)
def test_the_options_of_the_compiler(given, settings, wanted):
    environment = prepared({"NEURON_CC_FLAGS": given}, **settings)

    assert shlex.split(environment["NEURON_CC_FLAGS"]) == shlex.split(wanted)
    if "cache" in settings:
        assert environment["NEURON_COMPILE_CACHE_URL"] == "/run/neuronx_cc"
    if "lnc" in settings:
        assert environment["NEURON_LOGICAL_NC_CONFIG"] == str(settings["lnc"])


def test_no_cache_and_a_cache_of_the_run_s_own_are_refused():
    assert "--no_cache" in prepared({"NEURON_CC_FLAGS": "--no_cache"})["NEURON_CC_FLAGS"]
    with pytest.raises(ValueError, match=r"NEURON_CC_FLAGS holds --no_cache.*take --no_cache out"):
        prepared({"NEURON_CC_FLAGS": "-O1 --no_cache"}, cache="/run")


def test_a_quote_that_is_not_closed_is_refused_with_what_was_given():
    with pytest.raises(
        ValueError, match=r"NEURON_CC_FLAGS is: -O1 --x 'y; .*no closing quotation: close the quote"
    ):
        prepared({"NEURON_CC_FLAGS": "-O1 --x 'y"})


def test_two_ways_to_group_cores_are_refused():
    with pytest.raises(ValueError, match="compiles for LNC=1, and LNC=2 was asked for"):
        prepared({"NEURON_CC_FLAGS": "--logical-nc-config=1"}, lnc=2)


def test_the_programs_of_the_stack_are_on_the_path():
    folders = prepared({"PATH": "/usr/bin:/bin"})["PATH"].split(os.pathsep)

    assert folders == [str(Path(sys.executable).parent), "/usr/bin", "/bin", "/opt/aws/neuron/bin"]


def test_a_home_folder_is_found_or_asked_for(monkeypatch, tmp_path):
    assert prepared({"HOME": str(tmp_path)})["HOME"] == str(tmp_path)
    monkeypatch.setattr(neuron_xla.pwd, "getpwuid", lambda _: SimpleNamespace(pw_dir=str(tmp_path)))
    assert prepared({"HOME": ""})["HOME"] == str(tmp_path)

    with pytest.raises(ValueError, match="set HOME to a folder of yours"):
        prepared({"HOME": str(tmp_path / "gone")})


@pytest.mark.parametrize(
    ("flags", "dtype", "wanted"),
    [
        ("--auto-cast=none", "fp32", "fp32"),
        ("", "fp32", "fp32"),
        ("--auto-cast=all", "fp32", "bf16"),
        ("--auto-cast=matmult", "fp32", "bf16"),
        ("--auto-cast matmult --auto-cast-type fp16", "fp32", "fp16"),
        ("--auto-cast=all --auto-cast-type=tf32", "fp32", "tf32"),
        ("--auto-cast=none --auto-cast-type=tf32", "fp32", "fp32"),
        ("--auto-cast=all", "bf16", "bf16"),
        ("--auto-cast=all", "int8", "int32"),
        ("", "int8", "int32"),
    ],
)
def test_the_dtype_that_the_device_computes_in(monkeypatch, flags, dtype, wanted):
    monkeypatch.setenv("NEURON_CC_FLAGS", flags)

    assert a_backend().executed_dtype(dtype) == wanted


# ------------------------------------------------------------------------------------- caches


def test_files_are_counted_in_the_cache_that_is_in_force(monkeypatch, tmp_path):
    for folder, count in (("url", 2), ("flag", 3), ("default", 4)):
        (tmp_path / folder / "MODULE_1").mkdir(parents=True)
        for number in range(count):
            (tmp_path / folder / "MODULE_1" / str(number)).touch()
    monkeypatch.setattr(neuron_xla, "_DEFAULT_CACHE", str(tmp_path / "default"))
    backend = started()
    default = backend.cache_files()
    monkeypatch.setenv("NEURON_COMPILE_CACHE_URL", str(tmp_path / "url"))
    by_variable = backend.cache_files()
    monkeypatch.setenv("NEURON_CC_FLAGS", f"--cache_dir={tmp_path / 'flag'}")

    assert (default, by_variable, backend.cache_files()) == (4, 2, 3)


@pytest.mark.parametrize(
    ("url", "flags"), [("s3://bucket/cache", ""), ("", "--cache_dir=s3://b"), ("", "--no_cache")]
)
def test_a_cache_that_is_no_folder_is_not_counted(monkeypatch, url, flags):
    monkeypatch.setenv("NEURON_COMPILE_CACHE_URL", url)
    monkeypatch.setenv("NEURON_CC_FLAGS", flags)

    assert started().cache_files() is None


# ------------------------------------------------------------------------ the device that answers


@pytest.mark.parametrize(
    ("hardware", "kind"),
    [("CPU", "cpu"), ("CPU", "NC_v2"), ("TPU", "NC_v2"), ("NEURON", "cpu"), ("NEURON", "NC_v9")],
)
def test_another_device_is_never_taken_for_neuron(hardware, kind):
    with pytest.raises(RuntimeError, match=rf"answers is {hardware} \({kind}\), and neuron-xla"):
        a_backend(FakeStack(kind, hardware)).start(Settings())


@pytest.mark.parametrize("stated", ["CPU", ""])
def test_nothing_is_loaded_where_the_variable_says_otherwise(monkeypatch, stated):
    monkeypatch.setenv("PJRT_DEVICE", stated)

    def load():
        raise AssertionError("torch_xla was imported")

    with pytest.raises(RuntimeError, match=f"PJRT_DEVICE is {stated or 'not set'}"):
        NeuronXlaBackend(load, find_setup=a_setup).start(Settings())


@pytest.mark.parametrize(
    ("kind", "chip"), [("NC_v2", "Trainium2"), ("NC_v3d", "Trainium1"), ("NC_v3", "Inferentia2")]
)
def test_a_kind_of_core_that_the_chip_has_not_is_refused(kind, chip):
    with pytest.raises(RuntimeError, match=f"kind {kind}, and the driver says {chip}"):
        a_backend(FakeStack(kind), a_setup(chip)).start(Settings())


@pytest.mark.parametrize(("kind", "lnc"), [("NC_v3d", 1), ("NC_v3", 2), ("NC_v2", 2)])
def test_another_grouping_of_cores_is_refused(kind, lnc):
    setup = a_setup("Trainium1" if kind == "NC_v2" else "Trainium2")

    with pytest.raises(RuntimeError, match=f"LNC={lnc} was asked for, and .* answers is {kind}"):
        a_backend(FakeStack(kind), setup).start(Settings(lnc=lnc))


IDENTITIES = [
    ("NC_v2", "Trainium1", "core", 1, "trainium1", 0.5, GB32 // 2),
    ("NC_v2", "Inferentia2", "core", 1, "inferentia2", 0.5, GB32 // 2),
    ("NC_v3", "Trainium2", "LNC=1", 1, "trainium2", 0.125, GB96 // 8),
    ("NC_v3d", "Trainium2", "LNC=2", 2, "trainium2", 0.25, GB96 // 4),
    ("NC_v3d", "Trainium3", "LNC=2", 2, "trainium3", 0.25, None),
]


@pytest.mark.parametrize(
    ("kind", "name", "mode", "cores", "chip", "share", "memory_bytes"), IDENTITIES
)
def test_the_identity_counts_the_cores_that_are_used(
    kind, name, mode, cores, chip, share, memory_bytes
):
    identity = started(FakeStack(kind), a_setup(name)).identity()
    fields = {field: getattr(identity, field) for field in Device.model_fields if field != "facts"}
    device = identified(Device(**fields, facts=dict(identity.facts)), load_catalog())

    assert (identity.name, identity.facts["mode"]) == (name, mode)
    assert identity.cores_used == cores
    assert identity.memory_bytes == memory_bytes
    assert identity.driver == "2.29.0.0"
    assert (identity.chip, identity.share, identity.simulated) == (None, None, False)
    assert (device.chip, device.share) == (chip, share)


def test_the_memory_of_several_chips_is_that_of_a_part_of_one():
    setup = a_setup(devices=("neuron0", "neuron1"), physical_cores=4)

    assert started(setup=setup).identity().memory_bytes == GB32 // 2


def test_the_identity_says_what_casts_and_rounds(monkeypatch):
    monkeypatch.setenv("NEURON_RT_STOCHASTIC_ROUNDING_EN", "1")
    monkeypatch.setenv("NEURON_CC_FLAGS", "--auto-cast=none --cache_dir=/home/somebody")
    facts = started().identity().facts

    assert facts["stochastic_rounding"] == "1"
    assert facts["auto_cast"] == "none"
    assert not [value for value in facts.values() if "somebody" in str(value)]


# --------------------------------------------------------------------------------- traced


def test_a_traced_program_lives_on_the_host_and_is_traced_once():
    fake = FakeStack()
    backend = started(fake)
    backend.use_mode("traced")
    tensor = SimpleNamespace(to=lambda device: device)
    program = backend.compiler()(lambda x, y: x + y)

    assert backend.place(tensor) is tensor
    assert backend.counters()["graphs_compiled"] == 5
    assert program(1, 2) == ("traced", 3)
    assert program(1, 2) == ("traced", 3)
    assert fake.traced == [(1, 2)]
    assert backend.counters()["graphs_compiled"] == 6
    assert backend.compile_time_ns() > 700
    assert backend.cache_files() is None


def test_traced_calls_are_timed_as_they_are():
    fake = FakeStack()
    backend = started(fake)
    backend.use_mode("traced")
    backend.time_sustained(fake.call, 2)
    backend.time_isolated(fake.call, 2)

    assert fake.log == ["call"] * 4
    assert backend.split(fake.call) == {}


def test_lazy_calls_are_cut_and_waited_for():
    fake = FakeStack()
    backend = started(fake)
    backend.use_mode("traced")
    backend.use_mode("lazy")
    backend.time_isolated(fake.call, 2)

    assert fake.log == ["cut", "wait", *["call", "cut", "wait"] * 2]
    assert backend.place(SimpleNamespace(to=lambda device: device)) == "xla:0"
    assert list(backend.split(fake.call)) == ["trace", "dispatch", "device"]


def test_modes():
    backend = a_backend()

    assert (backend.modes, backend.modes_on_request) == (("lazy",), ("traced",))
    assert backend.refusal("fp32", "traced") is None
    assert "use one of: lazy, traced" in backend.refusal("fp32", "compiled").mend


# ---------------------------------------------------------------------------- of the machine


def test_it_measures_one_case_a_process_and_waits_for_the_compiler():
    assert NeuronXlaBackend.cases_per_process == 1
    assert NeuronXlaBackend.claims_cores
    assert NeuronXlaBackend.compile_allowance_s >= 600
    assert NeuronXlaBackend.warmup_calls >= 3


def test_who_holds_the_cores_is_asked_before_each_worker():
    owner = SimpleNamespace(pid=4242)
    listed = SimpleNamespace(index=0, owners=(owner,))
    free = a_backend(setup=a_setup(listed=(SimpleNamespace(index=0, owners=()),)))

    assert free.busy(Settings()) is None
    busy = a_backend(setup=a_setup(listed=(listed,))).busy(Settings())
    assert busy.reason == "1 other process holds cores of device 0"


def test_availability_is_the_set_up_s(monkeypatch):
    monkeypatch.setattr(neuron_setup, "check", lambda setup, name: (setup.device_name, name))

    assert a_backend().availability() == ("Trainium1", "neuron-xla")


def test_the_compiler_s_words_are_explained():
    known = a_backend().explain("[NCC_EOOM001] needs 38.18 GB of 16 GB")

    assert known.status == "OUT_OF_MEMORY"
