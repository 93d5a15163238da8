"""What the doctor says about backends, tools, and the set-ups that are most likely broken.

Each of those is made for real, on a Trainium instance below a folder: device files, the driver's
files, a program in the place of neuron-ls, and distributions on a path of their own. The
command line is then asked in a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest

from trnbench.backends import registry
from trnbench.backends.protocol import Availability, Refusal
from trnbench.bench import doctor
from trnbench.bench.doctor import diagnose, print_doctor

#: Root may open everything, until these two capabilities are given up (prctl 24) and a new program
#: begins: what is left is a user that owns files, and whom their modes bind.
AS_ORDINARY_USER = """
import ctypes, os, sys
if os.geteuid() == 0:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        if libc.prctl(24, capability, 0, 0, 0):
            sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
NATIVE = {"torch-neuronx": "2.14.3.0", "torch": "2.14.0", "neuronx-cc": "2.28.7631.0"}
XLA = {
    "torch-neuronx": "2.9.0.2.15.32035",
    "torch": "2.9.1",
    "torch-xla": "2.9.0",
    "libneuronxla": "2.2.17544.0",
}
HERE = ".".join(map(str, sys.version_info[:2]))


class Instance:
    """A Trainium2 instance with one stack, in order unless it is changed."""

    def __init__(self, folder, versions, chip="Trainium2", driver="2.31.7.0"):
        self.root = folder / "root"
        self.packages = folder / "site-packages"
        self.environ = {}
        for name, version in versions.items():
            self.install(name, version)
        device = "sys/devices/virtual/neuron_device/neuron0"
        self.write("dev/neuron0", "").chmod(0o666)
        self.write(f"{device}/info/architecture/device_name", f"{chip}\n")
        self.write(f"{device}/info/serial_number", "00000000000000aa\n")
        self.write("sys/module/neuron/version", f"{driver}\n")
        self.lnc = {"logical_neuroncore_config": 2} if chip == "Trainium2" else {}
        self.list([])

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def install(self, name, version, requires=">=3.8", folder="."):
        """A distribution as pip leaves it, as far as its metadata goes."""
        info = self.packages / folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            f"Requires-Python: {requires}\n",
            encoding="utf-8",
        )
        (info / "INSTALLER").write_text("pip\n", encoding="utf-8")

    def list(self, processes):
        """A program that says what neuron-ls would."""
        listed = {
            "instance_id": "i-00000000000000001",
            "neuron_device": 0,
            "numa_node": "-1",
            "connected_to": None,
            "nc_count": 4,
            "memory_size": 96 * 2**30,
            "neuroncore_ids": [0, 1, 2, 3],
            "neuron_processes": processes,
        } | self.lnc
        text = f"#!/bin/sh\ncat <<'END'\n{json.dumps([listed])}\nEND\n"
        self.write("opt/aws/neuron/bin/neuron-ls", text).chmod(0o755)

    def ask(self, *options):
        """What ``trnbench doctor`` answers there, to a user who isn't root: the finished
        process."""
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("NEURON_", "TORCH_NEURONX_", "PJRT_", "XLA_"))
        }
        return subprocess.run(
            [sys.executable, "-c", AS_ORDINARY_USER, "-m", "trnbench", "doctor", *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.root,
            env=clean
            | {
                "TRNBENCH_NEURON_ROOT": str(self.root),
                "PYTHONPATH": os.pathsep.join(
                    filter(None, (str(self.packages), os.environ.get("PYTHONPATH")))
                ),
                "PYTHONDONTWRITEBYTECODE": "1",
                "COLUMNS": "400",
            }
            | self.environ,
        )

    def entry(self, backend):
        done = self.ask("--json")
        assert (done.returncode, done.stderr) == (0, "")
        (entry,) = (one for one in json.loads(done.stdout)["backends"] if one["name"] == backend)
        return entry


@pytest.fixture(scope="module")
def stranger():
    """The number of a living process that isn't ours to measure beside."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate(b"\n")
    assert process.returncode == 0


def missing_package(folder):
    return Instance(folder, {"torch": "2.14.0"})


def wrong_stack(folder):
    return Instance(folder, XLA)


def wrong_chip(folder):
    return Instance(folder, NATIVE, chip="Trainium1")


def wrong_torch(folder):
    return Instance(folder, NATIVE | {"torch": "2.13.0"})


def both_stacks(folder):
    return Instance(folder, NATIVE | {"torch-xla": "2.9.0", "libneuronxla": "2.2.17544.0"})


def one_stack_over_another(folder):
    instance = Instance(folder, NATIVE)
    instance.install("torch-neuronx", XLA["torch-neuronx"])
    return instance


def no_device_files(folder):
    instance = Instance(folder, NATIVE)
    (instance.root / "dev" / "neuron0").unlink()
    shutil.rmtree(instance.root / "sys")
    return instance


def no_permission(folder):
    instance = Instance(folder, NATIVE)
    (instance.root / "dev" / "neuron0").chmod(0o400)
    return instance


def cores_held(folder):
    return Instance(folder, NATIVE)


def lnc_mismatch(folder):
    instance = Instance(folder, NATIVE)
    instance.environ = {
        "NEURON_LOGICAL_NC_CONFIG": "1",
        "NEURON_CC_FLAGS": "--auto-cast=none --lnc=2",
    }
    return instance


def old_driver(folder):
    instance = Instance(folder, NATIVE, driver="2.26.5.0")
    instance.write(
        "var/lib/dpkg/status",
        "Package: aws-neuronx-runtime-lib\nStatus: install ok installed\nVersion: 2.35.30.0\n"
        "Architecture: amd64\nMaintainer: nobody <nobody@example.com>\nDescription: none\n",
    )
    return instance


def plugin_missing(folder):
    instance = Instance(folder, {name: one for name, one in XLA.items() if name != "libneuronxla"})
    instance.environ = {"PJRT_DEVICE": "NEURON"}
    return instance


def wrong_python(folder):
    instance = Instance(folder, {"torch": "2.14.0"})
    instance.install("torch-neuronx", "2.14.3.0", requires=f"<{HERE}")
    return instance


class Broken(NamedTuple):
    backend: str
    reason: str
    mend: str


#: How it is broken -> the backend that is asked for, the whole reason, and a part of the mend.
BROKEN = {
    missing_package: Broken(
        "neuron-xla",
        "torch-neuronx is not installed",
        'pip install "torch-neuronx==2.9.*" --extra-index-url https://pip.repos.neuron',
    ),
    wrong_stack: Broken(
        "neuron",
        "torch-neuronx 2.9.0.2.15.32035 is the XLA stack, and this backend needs the native stack",
        "make another environment",
    ),
    wrong_chip: Broken(
        "neuron",
        "the native stack does not run on Trainium1",
        "measure with the backend neuron-xla",
    ),
    wrong_torch: Broken(
        "neuron",
        "torch-neuronx 2.14.3.0 is built for torch 2.14, and torch 2.13.0 is installed",
        'pip install "torch==2.14.*"',
    ),
    both_stacks: Broken(
        "neuron",
        "two Neuron stacks are mixed in this environment: torch-neuronx 2.14.3.0, "
        "torch-xla 2.9.0, libneuronxla 2.2.17544.0",
        "make a new environment",
    ),
    one_stack_over_another: Broken(
        "neuron-xla",
        "two Neuron stacks are mixed in this environment: torch-neuronx 2.14.3.0, "
        "torch-neuronx 2.9.0.2.15.32035",
        "make a new environment",
    ),
    no_device_files: Broken(
        "neuron",
        "there is no Neuron device (/dev/neuron*)",
        "run on a Trainium or Inferentia instance with its driver (aws-neuronx-dkms)",
    ),
    no_permission: Broken(
        "neuron",
        "this user may not read and write /dev/neuron0",
        "sudo chmod a+rw /dev/neuron*",
    ),
    cores_held: Broken(
        "neuron",
        "1 other process holds cores of device 0: process {stranger} on device 0",
        "trnbench doctor and neuron-ls show which they are",
    ),
    lnc_mismatch: Broken(
        "neuron",
        "the compiler is told to compile for LNC=2 (NEURON_CC_FLAGS), and the runtime to run "
        "LNC=1 (NEURON_LOGICAL_NC_CONFIG): compiled code would not load",
        "export NEURON_LOGICAL_NC_CONFIG=2",
    ),
    old_driver: Broken(
        "neuron",
        "the driver that is loaded, 2.26.5.0, is too old: runtime 2.35.30.0 "
        "(aws-neuronx-runtime-lib) needs 2.27 or newer",
        "install aws-neuronx-dkms",
    ),
    plugin_missing: Broken(
        "neuron-xla",
        "the XLA stack is incomplete: libneuronxla is not installed, so that torch-xla has no "
        "plugin for Neuron devices",
        "pip install --force-reinstall libneuronxla",
    ),
    wrong_python: Broken(
        "neuron",
        f"this is Python {HERE}, and torch-neuronx of the native stack needs Python <{HERE}",
        f"make an environment with a Python that is <{HERE}",
    ),
}


def without_python(reason):
    """Where torch-neuronx isn't of the stack that is asked for, Python is judged by what is known
    of that stack, and this test runs on every Python."""
    parts = reason.split("; ")
    return "; ".join(part for part in parts if not part.startswith("this is Python"))


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_setup_is_named_with_its_mend(tmp_path, stranger, broken):
    instance = broken(tmp_path)
    if broken is cores_held:
        instance.list([{"pid": stranger, "command": "python secret.py"}])
    backend, reason, mend = BROKEN[broken]
    entry = instance.entry(backend)

    assert not entry["available"]
    said = entry["reason"] if broken is wrong_python else without_python(entry["reason"])
    assert said == reason.format(stranger=stranger)
    assert mend in entry["mend"]


def test_no_two_of_them_say_the_same():
    reasons = {reason for _, reason, _ in BROKEN.values()}

    assert len(reasons) == len(BROKEN) >= 10


@pytest.mark.parametrize(("backend", "versions"), [("neuron", NATIVE), ("neuron-xla", XLA)])
def test_a_setup_in_order_can_run(tmp_path, backend, versions):
    entry = Instance(tmp_path, versions).entry(backend)

    assert entry["available"]
    assert entry["mend"] == ""
    assert entry["reason"].endswith("1 x Trainium2, 4 logical cores")
    assert entry["facts"]["driver"] == "2.31.7.0"


def test_the_doctor_names_nobody_and_changes_nothing(tmp_path, stranger):
    instance = Instance(tmp_path, NATIVE)
    instance.list([{"pid": stranger, "command": "python secret.py --user bob"}])

    def state():
        return {
            path.relative_to(tmp_path): (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(tmp_path.rglob("*"))
            if path.is_file()
        }

    before = state()
    table = instance.ask().stdout
    said = instance.ask("--json").stdout + table

    assert f"process {stranger} on device 0" in table
    assert f'"held": "process {stranger} on device 0"' in said
    words = ("secret", "bob", "i-0000", "00aa", str(tmp_path))
    assert [word for word in words if word in said] == []
    assert state() == before


def test_the_table_shows_the_same(tmp_path):
    done = lnc_mismatch(tmp_path).ask()
    _, reason, mend = BROKEN[lnc_mismatch]

    assert (done.returncode, done.stderr) == (0, "")
    assert f"neuron      no       {reason}" in done.stdout
    assert any(line.startswith(f"neuron: {mend}") for line in done.stdout.splitlines())


def test_every_backend_has_an_entry():
    entries = diagnose()

    assert [entry["name"] for entry in entries] == list(registry.names())
    for entry in entries:
        assert set(entry) == {"name", "available", "reason", "mend", "facts"}
        assert entry["reason"]
        assert isinstance(entry["available"], bool)
    assert entries[0]["available"]


class Busy:
    """A backend that can run, and whose device somebody holds."""

    def __init__(self, refusal):
        self.refusal = refusal

    def busy(self, settings):
        return self.refusal


@pytest.mark.parametrize(
    ("available", "refusal", "wanted"),
    [
        (True, None, (True, "all is well", "")),
        (True, Refusal("held by others", "wait"), (False, "held by others", "wait")),
        (False, Refusal("never asked", ""), (False, "all is well", "")),
    ],
)
def test_a_device_that_others_hold_is_not_available(monkeypatch, available, refusal, wanted):
    found = {"odd": Availability(available=available, reason="all is well", facts={"cores": 2})}
    monkeypatch.setattr(doctor.registry, "availabilities", lambda: found)
    monkeypatch.setattr(doctor.registry, "create", lambda name: Busy(refusal))
    (entry,) = diagnose()

    assert (entry["available"], entry["reason"], entry["mend"]) == wanted
    assert entry["facts"] == {"cores": 2}


def test_json_is_all_there_is_on_standard_output(capsys):
    print_doctor(as_json=True)
    written = capsys.readouterr()
    found = json.loads(written.out)

    assert written.err == ""
    assert found["backends"] == json.loads(json.dumps(diagnose()))
    assert {"trnbench", "python", "torch", "c++"} <= set(found["versions"])


def test_the_table_names_each_backend_and_its_mend(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    print_doctor(as_json=False)
    written = capsys.readouterr().out

    entries = diagnose()
    assert entries
    for entry in entries:
        row = next(line for line in written.splitlines() if line.startswith(f"{entry['name']} "))
        assert entry["reason"] in row
        assert row.split()[1] == ("yes" if entry["available"] else "no")
        if entry["mend"]:
            assert f"{entry['name']}: {entry['mend']}" in written.splitlines()


def test_the_doctor_imports_no_torch():
    program = (
        "import sys\n"
        "from trnbench.bench.doctor import print_doctor\n"
        "print_doctor(as_json=False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")
