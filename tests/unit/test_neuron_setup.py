"""Which Neuron set-up is found, what is wrong with it, and who holds its cores."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest

from trnbench.backends import neuron_facts, neuron_sdk
from trnbench.backends.neuron_cores import CHIPS, FAMILIES, find_lnc, parse_cores
from trnbench.backends.neuron_sdk import compare_driver, find_release, find_runtime, read_packages
from trnbench.backends.neuron_setup import (
    INDEX_URL,
    Surroundings,
    check,
    find_owners,
    find_setup,
    identity_facts,
    visible_cores,
)
from trnbench.backends.protocol import Settings

SAMPLES = Path(__file__).parents[3] / "shared" / "neuron_samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.exists(), reason="the outputs of real tools lie beside the project only"
)

NATIVE = {"torch-neuronx": "2.14.3.0", "torch": "2.14.0", "neuronx-cc": "2.28.7631.0"}
XLA = {
    "torch-neuronx": "2.9.0.2.15.32035",
    "torch": "2.9.1+cu128",
    "torch-xla": "2.9.0",
    "libneuronxla": "2.2.17544.0",
    "neuronx-cc": "2.26.6360.0+abc",
}
FAMILY = {chip: family for family, chip in FAMILIES.items()}


class Machine:
    """A machine below a folder, in order unless told otherwise: Trainium2, one device."""

    def __init__(self, root, chip="Trainium2", devices=1, driver="2.31.7.0"):
        self.root = root
        self.chip = chip
        for index in range(devices):
            self.write(f"dev/neuron{index}", "")
            folder = f"sys/devices/virtual/neuron_device/neuron{index}"
            if chip:
                self.write(f"{folder}/info/architecture/device_name", chip)
                family = FAMILY.get(chip, "x").capitalize()
                self.write(f"{folder}/info/architecture/instance_type", family)
        if driver:
            self.write("sys/module/neuron/version", driver)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def list(self, *devices):
        """What neuron-ls says: one dictionary a device."""
        listed = [{"neuron_device": index} | one for index, one in enumerate(devices)]
        tool = self.write("opt/aws/neuron/bin/neuron-ls", f"#!/bin/sh\necho '{json.dumps(listed)}'")
        tool.chmod(0o755)

    def find(self, versions=NATIVE, python=(3, 12), requires=None, copies=(), **environ):
        surroundings = Surroundings(
            root=self.root,
            version_of=versions.get,
            environ={"PATH": os.environ["PATH"], **environ},
            python=python,
            requires_python_of=lambda name: requires,
            versions_of=lambda name: tuple(copies),
        )
        return find_setup(surroundings)


def without(versions, *names):
    return {name: version for name, version in versions.items() if name not in names}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


# ------------------------------------------------------------------ stacks


@pytest.mark.parametrize(
    ("versions", "copies", "stack"),
    [
        ({}, (), "none"),
        ({"torch-xla": "2.9.0", "libneuronxla": "2.2.1"}, (), "none"),
        ({"torch-neuronx": "1.0"}, (), "placeholder"),
        ({"torch-neuronx": "1.0.0"}, (), "placeholder"),
        ({"torch-neuronx": "1.0.post1"}, (), "placeholder"),
        ({"torch-neuronx": "1.13.1.1.15.0"}, (), "xla"),
        ({"torch-neuronx": "2.9.0.2.15.32035"}, (), "xla"),
        (XLA, (), "xla"),
        ({"torch-neuronx": "2.10.0.1"}, (), "native"),
        ({"torch-neuronx": "2.13.3.0"}, (), "native"),
        ({"torch-neuronx": "2.14.3.0+abc"}, (), "native"),
        (NATIVE, ("2.14.3.0",), "native"),
        ({"libtorch-neuronx-lite": "2.12.0.1.0.1284"}, (), "lite"),
        ({"libtorch-neuronx-lite": "2.12.0.1", "torch-neuronx": "2.14.3.0"}, (), "both"),
        (NATIVE | {"torch-xla": "2.9.0", "libneuronxla": "2.2.1"}, (), "both"),
        (NATIVE, ("2.14.3.0", "2.9.0.2.15.32035"), "both"),
        (NATIVE, ("2.14.3.0", "1.0"), "native"),
        # Half of the XLA stack alone brings nothing into disorder.
        (NATIVE | {"torch-xla": "2.9.0"}, (), "native"),
    ],
)
def test_versions_say_which_stack_it_is(machine, versions, copies, stack):
    found = machine.find(versions, copies=copies)

    assert found.stack == stack
    assert found.version == versions.get("torch-neuronx")


@pytest.mark.parametrize(("backend", "versions"), [("neuron", NATIVE), ("neuron-xla", XLA)])
def test_a_complete_setup_can_run(machine, backend, versions):
    found = check(machine.find(versions), backend)

    assert found.available
    assert found.reason == (
        f"torch-neuronx {versions['torch-neuronx']}, and 1 x Trainium2, 4 logical cores"
    )
    assert found.mend == ""


@pytest.mark.parametrize(
    ("backend", "versions", "reason", "mend"),
    [
        ("neuron", {}, "torch-neuronx is not installed", "torch-neuronx>=2.13,<2.15"),
        ("neuron-xla", {}, "torch-neuronx is not installed", "torch-neuronx==2.9.*"),
        ("neuron", {"torch-neuronx": "1.0"}, "1.0 is an empty placeholder", "pip uninstall"),
        ("neuron-xla", {"torch-neuronx": "1.0"}, "wrong index", INDEX_URL),
        ("neuron", XLA, "is the XLA stack, and this backend needs the native", "another envir"),
        ("neuron-xla", NATIVE, "is the native stack, and this backend", "another environment"),
        (
            "neuron",
            {"libtorch-neuronx-lite": "2.12.0.1"},
            "libtorch-neuronx-lite is installed, which compiles for vLLM and runs no eager work",
            "another environment",
        ),
        (
            "neuron",
            XLA | {"torch-neuronx": "2.14.3.0", "torch": "2.14.0"},
            "mixed in this environment: torch-neuronx 2.14.3.0, torch-xla 2.9.0, libneuronxla",
            "a new environment",
        ),
        ("neuron", NATIVE | {"torch": "2.13.0"}, "built for torch 2.14, and torch 2.13.0", "2.14."),
        ("neuron", without(NATIVE, "torch"), "torch is not installed", '"torch==2.14.*"'),
        ("neuron-xla", XLA | {"torch": "2.8.0"}, "built for torch 2.9, and torch 2.8.0", "==2.9.*"),
        ("neuron-xla", XLA | {"torch-xla": "2.8.1"}, "and torch-xla 2.8.1 is", "torch-xla==2.9.*"),
        (
            "neuron-xla",
            without(XLA, "libneuronxla"),
            "the XLA stack is incomplete: libneuronxla is not installed",
            "--force-reinstall libneuronxla",
        ),
        ("neuron-xla", XLA | {"libneuronxla": "1.0"}, "libneuronxla is not installed", INDEX_URL),
        ("neuron-xla", without(XLA, "torch-xla", "libneuronxla"), "are not installed", "torch-xla"),
    ],
)
def test_what_is_wrong_with_packages_is_said_with_its_mend(
    machine, backend, versions, reason, mend
):
    found = check(machine.find(versions), backend)

    assert not found.available
    assert reason in found.reason
    assert ";" not in found.reason
    assert mend in found.mend


@pytest.mark.parametrize(
    ("backend", "python", "requires", "right"),
    [
        ("neuron", (3, 11), None, False),
        ("neuron", (3, 12), None, True),
        ("neuron", (3, 14), None, True),
        ("neuron", (3, 15), None, False),
        ("neuron-xla", (3, 10), None, False),
        ("neuron-xla", (3, 11), None, True),
        ("neuron-xla", (3, 13), None, True),
        ("neuron-xla", (3, 14), None, False),
        # The wheel itself knows best.
        ("neuron", (3, 11), ">=3.11", True),
        ("neuron", (3, 12), ">=3.13", False),
        ("neuron-xla", (3, 10), ">=3.10,<3.13", True),
        ("neuron", (3, 12), ">=3.12.4", True),
        ("neuron", (3, 14), "<=3.14", True),
        ("neuron", (3, 11), "no specifier", False),
    ],
)
def test_python_is_judged_by_the_wheel_or_by_what_is_known(
    machine, backend, python, requires, right
):
    versions = NATIVE if backend == "neuron" else XLA
    found = check(machine.find(versions, python=python, requires=requires), backend)

    assert found.available == right
    if not right:
        assert f"this is Python {python[0]}.{python[1]}" in found.reason
        assert "environment with a Python" in found.mend


def test_another_stacks_wheel_does_not_judge_python(machine):
    found = check(machine.find(XLA, python=(3, 12), requires="<3.12"), "neuron")

    assert "this is Python" not in found.reason


# ------------------------------------------------------------------ the machine


@pytest.mark.parametrize("chip", [chip for chip in CHIPS if CHIPS[chip][1] == (1,)])
def test_the_native_stack_is_declined_where_it_has_no_path(tmp_path, chip):
    machine = Machine(tmp_path, chip)

    native = check(machine.find(NATIVE), "neuron")
    assert native.reason == f"the native stack does not run on {chip}"
    assert "neuron-xla" in native.mend
    assert check(machine.find(XLA), "neuron-xla").available


@pytest.mark.parametrize(
    ("driver", "product", "reason", "mend"),
    [
        (None, "", "there is no Neuron device (/dev/neuron*)", "run on a Trainium"),
        (None, "trn2.48xlarge", "(/dev/neuron*) on this trn2.48xlarge", "modprobe neuron"),
        ("2.31.7.0", "trn2.48xlarge", "though the driver is loaded", "--device=/dev/neuron0"),
    ],
)
def test_without_a_device_it_is_said_what_there_is(tmp_path, driver, product, reason, mend):
    machine = Machine(tmp_path, devices=0, driver=driver)
    machine.write("sys/devices/virtual/dmi/id/product_name", product)
    found = check(machine.find(), "neuron")

    assert reason in found.reason
    assert mend in found.mend


def test_device_files_that_this_user_may_not_use(machine, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = check(machine.find(), "neuron")

    assert found.reason == "this user may not read and write /dev/neuron0"
    assert "chmod a+rw" in found.mend


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    machine = Machine(tmp_path, devices=0, driver=None)
    found = check(machine.find({"torch-neuronx": "1.0"}, python=(3, 11)), "neuron")

    assert found.reason.count(";") == 2
    assert found.reason.index("placeholder") < found.reason.index("Python")
    assert found.mend.index("instance") < found.mend.index("3.12") < found.mend.index("pip")


@pytest.mark.parametrize(
    ("chip", "devices", "lnc", "physical", "present"),
    [
        ("Trainium2", 1, None, 8, 4),
        ("Trainium2", 16, None, 128, 64),
        ("Trainium2", 16, "1", 128, 128),
        ("Trainium3", 2, "2", 16, 8),
        ("Trainium1", 16, None, 32, 32),
        ("Inferentia2", 12, None, 24, 24),
    ],
)
def test_cores_are_counted_as_torch_would(tmp_path, chip, devices, lnc, physical, present):
    machine = Machine(tmp_path, chip, devices)
    found = machine.find(XLA, **({"NEURON_LOGICAL_NC_CONFIG": lnc} if lnc else {}))

    assert (found.physical_cores, found.cores_present) == (physical, present)
    assert found.lnc == int(lnc or CHIPS[chip][1][0])
    assert len(found.devices) == devices


def test_a_chip_that_nobody_knows_is_counted_by_the_driver_and_neuron_ls(tmp_path):
    machine = Machine(tmp_path, "Trainium9", devices=2)
    nothing = machine.find()
    machine.list({"nc_count": 4, "logical_neuroncore_config": 2}, {"nc_count": 4})
    listed = machine.find()
    for index in range(2):
        machine.write(f"sys/devices/virtual/neuron_device/neuron{index}/core_count", "8")
    counted = machine.find()

    assert (nothing.physical_cores, nothing.cores_present, nothing.lnc) == (None, None, None)
    assert (listed.physical_cores, listed.cores_present) == (16, 8)
    assert (counted.physical_cores, counted.cores_present) == (16, 8)


@pytest.mark.parametrize(
    ("environ", "listed", "chip", "wanted"),
    [
        ({"NEURON_LOGICAL_NC_CONFIG": "1"}, 2, "Trainium2", (1, "NEURON_LOGICAL_NC_CONFIG")),
        ({"NEURON_RT_VIRTUAL_CORE_SIZE": "1"}, 2, None, (1, "NEURON_RT_VIRTUAL_CORE_SIZE")),
        (
            {"NEURON_LOGICAL_NC_CONFIG": "2", "NEURON_RT_VIRTUAL_CORE_SIZE": "1"},
            None,
            None,
            (2, "NEURON_LOGICAL_NC_CONFIG"),
        ),
        ({}, 1, "Trainium2", (1, "neuron-ls")),
        ({}, None, "Trainium2", (2, "the default of Trainium2")),
        ({}, None, "Trainium1", (1, "the default of Trainium1")),
        ({}, None, None, (None, "")),
        ({"NEURON_LOGICAL_NC_CONFIG": "3"}, None, "Trainium2", (2, "the default of Trainium2")),
    ],
)
def test_where_the_size_of_a_logical_core_comes_from(environ, listed, chip, wanted):
    assert find_lnc(environ, listed, chip) == wanted


@pytest.mark.parametrize(
    ("chip", "environ", "words"),
    [
        ("Trainium2", {"NEURON_CC_FLAGS": "--lnc 1"}, ("LNC=1 (NEURON_CC_FLAGS)", "LNC=2 (the d")),
        ("Trainium2", {"NEURON_CC_FLAGS": "-O1 -lnc=1"}, ("told to compile for LNC=1",)),
        (
            "Trainium2",
            {"NEURON_CC_FLAGS": "--logical-nc-config=2", "NEURON_LOGICAL_NC_CONFIG": "1"},
            ("LNC=2 (NEURON_CC_FLAGS)", "LNC=1 (NEURON_LOGICAL_NC_CONFIG)"),
        ),
        ("Trainium1", {"NEURON_LOGICAL_NC_CONFIG": "2"}, ("Trainium1 has no such cores",)),
        ("Trainium2", {"NEURON_LOGICAL_NC_CONFIG": "4"}, ("is '4', and 1 or 2 was wanted",)),
        ("Trainium2", {"NEURON_RT_VIRTUAL_CORE_SIZE": ""}, ("is '', and 1 or 2",)),
        ("Trainium2", {"NEURON_RT_VISIBLE_CORES": "0-9"}, ("core 9, and there are 4 logical",)),
        ("Trainium2", {"NEURON_RT_VISIBLE_CORES": "a"}, ("cores 'a' given",)),
    ],
)
def test_cores_that_contradict_each_other_are_said(tmp_path, chip, environ, words):
    found = check(Machine(tmp_path, chip).find(XLA, **environ), "neuron-xla")

    assert not found.available
    assert [word for word in words if word not in found.reason] == []
    assert found.mend.startswith(("unset NEURON", "export NEURON"))


@pytest.mark.parametrize(
    "flags", ["--lnc=2", "-lnc 2", "--logical-nc-config 2", "--auto-cast=none", "--lnc-other=1", ""]
)
def test_flags_that_agree_with_the_runtime_are_no_problem(machine, flags):
    assert check(machine.find(XLA, NEURON_CC_FLAGS=flags), "neuron-xla").available


def test_the_instance_type_is_found_wherever_it_stands(tmp_path):
    machine = Machine(tmp_path, chip=None, driver=None)
    assert machine.find().instance_type is None

    table = "instance-type: trn2.3xlarge\n| NEURON | NEURON |\n| DEVICE | CORES  |\n| 0 | 4 |\n"
    tool = machine.write(
        "opt/aws/neuron/bin/neuron-ls",
        "#!/bin/sh\n[ $# = 1 ] && echo '[{\"neuron_device\": 0}]' && exit\ncat <<'END'\n"
        f"{table}END\n",
    )
    tool.chmod(0o755)
    assert machine.find().instance_type == "trn2.3xlarge"
    machine.write("sys/devices/virtual/dmi/id/product_name", "trn2.48xlarge\n")
    assert machine.find().instance_type == "trn2.48xlarge"
    machine.list({"instance_type": "trn2u.48xlarge", "instance_id": "i-00000000000000009"})
    found = machine.find()
    assert found.instance_type == "trn2u.48xlarge"
    assert found.device_name == "Trainium2"
    assert "i-000" not in repr(found)


def test_what_a_tool_says_of_lnc_is_nothing_to_unset(tmp_path):
    machine = Machine(tmp_path, "Trainium1")
    machine.list({"logical_neuroncore_config": 2})

    assert check(machine.find(XLA), "neuron-xla").available


@pytest.mark.parametrize(
    ("asked", "notes"),
    [("1", "neuron-ls says LNC=2, and NEURON_LOGICAL_NC_CONFIG says LNC=1"), ("2", ""), (None, "")],
)
def test_an_lnc_other_than_neuron_ls_says_is_noted(machine, asked, notes):
    machine.list({"logical_neuroncore_config": 2})
    environ = {"NEURON_LOGICAL_NC_CONFIG": asked} if asked else {}
    found = check(machine.find(**environ), "neuron")

    assert found.available
    assert found.facts["notes"] == notes


def test_what_could_not_be_read_is_noted(machine):
    machine.write("sys/module/neuron/version", "what?")
    machine.write("opt/aws/neuron/bin/neuron-ls", "#!/bin/sh\necho usage\n").chmod(0o755)
    found = machine.find()
    facts = check(found, "neuron").facts

    assert found.driver is None
    assert found.listed is None
    assert "holds 'what?'" in facts["notes"]
    assert "printed 'usage'" in facts["notes"]


def test_the_facts_of_a_device_name_no_machine(machine):
    machine.list(
        {
            "instance_id": "i-0abc",
            "memory_size": 96 * 2**30,
            "neuron_processes": [{"pid": 5, "command": "secret"}],
        }
    )
    machine.write("sys/devices/virtual/neuron_device/neuron0/info/serial_number", "feed00beef")
    found = machine.find(NEURON_RT_VISIBLE_CORES="0-1")

    assert found.memory_bytes == 96 * 2**30
    assert identity_facts(found) == {
        "stack": "native",
        "torch_neuronx": "2.14.3.0",
        "device_name": "Trainium2",
        "instance_type": None,
        "instance_family": "Trn2",
        "physical_cores": 8,
        "cores_present": 4,
        "visible_cores": "0-1",
        "lnc": 2,
        "lnc_source": "the default of Trainium2",
        "driver": "2.31.7.0",
        "runtime": "2.35.30.0",
        "runtime_source": "SDK 2.33.0, which torch-neuronx 2.14.3.0 is of",
        "sdk": "2.33.0",
    }
    assert not [word for word in ("i-0abc", "secret", "feed00") if word in repr(found)]


def test_here_is_this_machine_below_the_root_that_was_named(tmp_path, monkeypatch):
    monkeypatch.setenv(neuron_facts.ROOT_VARIABLE, str(tmp_path))
    here = Surroundings.here()

    assert here.root == tmp_path
    assert here.version_of("pytest") == pytest.__version__
    assert here.versions_of("pytest") == (pytest.__version__,)
    assert here.requires_python_of("pytest").startswith(">=3")
    assert here.version_of("no-such-distribution") is None
    assert here.versions_of("no-such-distribution") == ()
    assert here.requires_python_of("no-such-distribution") is None
    monkeypatch.setenv(neuron_facts.ROOT_VARIABLE, "")
    assert Surroundings.here().root == Path("/")


# ------------------------------------------------------------------ who holds the cores


def held(pid, **more):
    return {"neuron_processes": [{"pid": pid, "command": "secret", **more}]}


def test_another_process_is_counted_in_what_is_stored_and_named_to_the_doctor(machine):
    machine.list(held(4242))
    setup = machine.find()
    refusal = find_owners(setup, Settings())

    assert refusal.reason == "1 other process holds cores of device 0"
    assert "--bench-cores" in refusal.mend
    assert [word for word in ("secret", "4242") if word in repr(refusal)] == []
    assert check(setup, "neuron").facts["held"] == "process 4242 on device 0"
    assert "4242" not in repr(identity_facts(setup))


def test_several_processes_on_several_devices_are_counted_once_each(tmp_path):
    machine = Machine(tmp_path, chip=None, devices=2)
    both = {"neuron_processes": [{"pid": 4242}, {"pid": 77}, {"pid": os.getpid()}]}
    machine.list(both, held(4242))
    setup = machine.find()

    assert find_owners(setup, Settings()).reason == "2 other processes hold cores of devices 0, 1"
    assert check(setup, "neuron").facts["held"] == (
        "process 77, 4242 on device 0; process 4242 on device 1"
    )


@pytest.mark.parametrize("listed", [[{}], [{"neuron_processes": None}], [held(os.getpid())], []])
def test_nobody_else_is_nobody(machine, listed):
    machine.list(*listed)

    assert find_owners(machine.find(), Settings()) is None


def test_without_neuron_ls_nobody_can_tell(machine):
    assert find_owners(machine.find(), Settings()) is None


@pytest.mark.parametrize(
    ("cores", "lnc", "visible", "busy"),
    [
        (None, None, None, False),
        ("3", None, None, False),
        ("4", None, None, True),
        ("3-4", None, None, True),
        (None, None, "7", True),
        ("0", None, "7", False),
        ("8-11", None, None, False),
        # At LNC=1 a device has twice as many.
        ("4", 1, None, False),
        ("8", 1, None, True),
        ("15", 1, None, True),
        ("16", 1, None, False),
    ],
)
def test_only_the_devices_of_the_cores_that_are_wanted_count(tmp_path, cores, lnc, visible, busy):
    machine = Machine(tmp_path, devices=3)  # of four logical cores each
    machine.list({}, held(4242), {})
    environ = {"NEURON_RT_VISIBLE_CORES": visible} if visible else {}

    found = find_owners(machine.find(**environ), Settings(cores=cores, lnc=lnc))

    assert (found is not None) == busy


def test_where_cores_cannot_be_placed_every_device_counts(tmp_path):
    machine = Machine(tmp_path, chip=None, devices=2)
    machine.list({}, held(4242))

    assert find_owners(machine.find(), Settings()) is not None


def test_devices_from_the_middle_all_count(tmp_path):
    machine = Machine(tmp_path, devices=3)
    (tmp_path / "dev" / "neuron0").unlink()
    machine.list({}, {}, held(4242))

    assert find_owners(machine.find(), Settings(cores="0")) is not None


# ------------------------------------------------------------------ cores by index


@pytest.mark.parametrize(
    ("text", "cores"),
    [("0", (0,)), ("0-3", (0, 1, 2, 3)), ("2,3", (2, 3)), ("3,2", (2, 3)), ("0-1, 2", (0, 1, 2))],
)
def test_cores_by_index(text, cores):
    assert parse_cores(text) == cores


@pytest.mark.parametrize("text", ["", "a", "-1", "3-1", "0,2", "0-", "1.5", "0-99999", "0;1"])
def test_what_are_no_cores_is_refused_with_what_was_wanted(text):
    with pytest.raises(
        ValueError, match="neighbouring cores such as 0, 0-3 or 2,3 wanted"
    ) as error:
        parse_cores(text)

    assert f"'{text}'" in str(error.value)


@pytest.mark.parametrize(
    ("settings", "environ", "wanted"),
    [
        (Settings(), {}, "0"),
        (Settings(), {"NEURON_RT_VISIBLE_CORES": ""}, "0"),
        (Settings(), {"NEURON_RT_VISIBLE_CORES": "2-3"}, "2-3"),
        (Settings(cores="1"), {"NEURON_RT_VISIBLE_CORES": "2-3"}, "1"),
    ],
)
def test_a_worker_claims_one_core_unless_told_otherwise(settings, environ, wanted):
    assert visible_cores(settings, environ) == wanted


def test_visible_cores_that_are_none_are_refused():
    with pytest.raises(ValueError, match="cores 'all' given"):
        visible_cores(Settings(), {"NEURON_RT_VISIBLE_CORES": "all"})


# ------------------------------------------------------------------ releases and drivers


def test_every_version_of_every_release_is_looked_up():
    looked_up = 0
    for release, packages in neuron_sdk.RELEASES.items():
        for package, versions in packages.items():
            for version in versions:
                assert release in find_release({package: version}).split(" or ")
                looked_up += 1

    assert looked_up >= 60


@pytest.mark.parametrize(
    ("versions", "release"),
    [
        ({}, None),
        ({"torch-neuronx": "2.99.0"}, None),
        ({"numpy": "2.2.1", "torch": "2.14.0"}, None),
        (NATIVE, "2.33.0"),
        ({"neuronx-cc": "2.26.6360.0+abc"}, "2.31.0 or 2.31.1"),
        ({"neuronx-cc": "2.26.6360.0", "aws-neuronx-tools": "2.31.15.0"}, "2.31.1"),
        ({"aws-neuronx-runtime-lib": "2.30.51.0-faafe26f0"}, "2.28"),
        ({"aws-neuronx-runtime-lib": "2.30.51"}, "2.28"),
        ({"aws-neuronx-runtime-lib": "2.30.5"}, None),
        ({"neuronx-cc": "2.27"}, None),
        ({"neuronx-cc": "2.27.5334.0.1"}, None),
        ({"torch-neuronx": "2.9.0.2.15.32035"}, "2.31.0 or 2.31.1 or 2.33.0"),
        (
            {"torch-neuronx": "2.14.3.0", "neuronx-cc": "2.27.5334.0"},
            "mixed: neuronx-cc of 2.32.0, torch-neuronx of 2.33.0",
        ),
        ({"torch-neuronx": "2.14.3.0", "aws-neuronx-tools": "2.99.1.0"}, "2.33.0"),
    ],
)
def test_the_release_of_a_set_of_packages(versions, release):
    assert find_release(versions) == release


def test_the_runtime_is_the_package_or_what_came_with_the_stack():
    package = {"aws-neuronx-runtime-lib": "2.34.10.0-abc", "torch-neuronx": "2.14.3.0"}

    assert find_runtime(package) == ("2.34.10.0", "aws-neuronx-runtime-lib")
    assert find_runtime(NATIVE)[0] == "2.35.30.0"
    # Of several releases the oldest: it asks least of the driver.
    assert find_runtime(XLA)[0] == "2.33.10.0"
    assert find_runtime({"torch-neuronx": "2.99"}) == (None, "")
    assert find_runtime({}) == (None, "")


@pytest.mark.parametrize(
    ("driver", "runtime", "source", "words"),
    [
        ("2.26.5.0", "2.32.31.0", "aws-neuronx-runtime-lib", "needs 2.27 or newer"),
        ("2.26.0", "2.35.30.0", "SDK 2.33.0", "2.26.0, is too old: runtime 2.35.30.0 (SDK 2.33.0)"),
        ("2.9.4.0", "2.32.0", "SDK", "needs 2.27 or newer"),
        ("2.29.0.0", "2.32.31.0", "aws-neuronx-runtime-lib", "driver 2.29.0.0 needs 2.33 or newer"),
        ("2.29.0.0", "2.32.31.0", "SDK 2.30.0", None),
        ("2.27.4.0", "2.35.30.0", "aws-neuronx-runtime-lib", None),
        ("2.26.5.0", "2.31.24.0", "aws-neuronx-runtime-lib", None),
        ("2.31.7.0", "2.33.10.0", "aws-neuronx-runtime-lib", None),
    ],
)
def test_drivers_and_runtimes_that_do_not_fit(driver, runtime, source, words):
    found = compare_driver(driver, runtime, source)

    assert (found is None) == (words is None)
    assert words is None or words in found


def test_releases_are_no_problem_for_their_own_drivers():
    fitting = [
        compare_driver(driver, runtime, "aws-neuronx-runtime-lib")
        for packages in neuron_sdk.RELEASES.values()
        for driver, runtime in itertools.product(
            packages.get("aws-neuronx-dkms", ()), packages["aws-neuronx-runtime-lib"]
        )
    ]

    assert len(fitting) >= 6
    assert set(fitting) == {None}


STATUS = """\
Package: {package}
Status: {status}
Version: {version}
Architecture: amd64
Maintainer: nobody <nobody@example.com>
Description: none

"""


def install(machine, **packages):
    text = "".join(
        STATUS.format(package=f"aws-neuronx-{name}", status=status, version=version)
        for name, (version, status) in packages.items()
    )
    machine.write("var/lib/dpkg/status", text)


def test_system_packages_are_those_that_are_installed(machine):
    assert read_packages(machine.root) == {}
    install(
        machine,
        dkms=("2.31.7.0", "install ok installed"),
        tools=("2.33.38.0-abc", "deinstall ok config-files"),
    )

    assert read_packages(machine.root) == {"aws-neuronx-dkms": "2.31.7.0"}
    assert machine.find({}).sdk == "2.33.0"


def test_an_old_driver_is_told_from_one_that_was_not_loaded_again(tmp_path):
    machine = Machine(tmp_path, driver="2.26.5.0")
    old = check(machine.find(), "neuron")
    install(machine, dkms=("2.31.7.0", "install ok installed"))
    unloaded = check(machine.find(), "neuron")

    assert old.reason == unloaded.reason
    assert "is too old" in old.reason
    assert "install aws-neuronx-dkms and aws-neuronx-runtime-lib of one SDK release" in old.mend
    assert "aws-neuronx-dkms 2.31.7.0 is installed and not loaded" in unloaded.mend


@needs_samples
def test_the_toolchains_of_real_machines_are_of_one_release():
    """Versions as the machines' own reports give them, by our names for the packages."""
    found = json.loads((SAMPLES / "toolchain_versions.json").read_text(encoding="utf-8"))
    probe = found["probe inf2.xlarge 2026-08-26"]
    later = found["publication pass trn1.2xlarge + inf2.xlarge 2026-09-21"]
    tools = found["all-smi trn1.2xlarge 2026-09-12"]

    assert (
        find_release(
            {
                "aws-neuronx-runtime-lib": probe["runtime"],
                "neuronx-cc": probe["compiler"],
                "aws-neuronx-collectives": probe["collectives"],
                "aws-neuronx-tools": probe["tools/profiler"],
            }
        )
        == "2.28"
    )
    assert (
        find_release(
            {
                "neuronx-cc": later["neuronxcc"],
                "torch-neuronx": later["torch_neuronx"],
                "libneuronxla": later["libneuronxla"],
                "aws-neuronx-tools": tools["tools aws-neuronx-tools"],
            }
        )
        == "2.28"
    )
    runtime = probe["runtime"]
    assert compare_driver(probe["driver"], runtime, "aws-neuronx-runtime-lib") is None
    assert "neuron-ls" in found["/opt/aws/neuron/bin"]
