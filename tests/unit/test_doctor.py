"""What the doctor says about backends, Neuron set-ups and tools."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from trnbench.backends import registry
from trnbench.backends.neuron_stacks import INDEX_URL, explain, find_neuron_setup
from trnbench.bench import doctor
from trnbench.bench.doctor import diagnose, print_doctor


def setup(tmp_path, version=None, devices=1, python=(3, 12), lite=None):
    for index in range(devices):
        (tmp_path / f"neuron{index}").touch()
    (tmp_path / "neuron_monitor_socket").touch()
    versions = {"torch-neuronx": version, "libtorch-neuronx-lite": lite}
    return find_neuron_setup(tmp_path, versions.get, python)


@pytest.mark.parametrize(
    ("version", "stack"),
    [
        (None, "none"),
        ("1.0", "placeholder"),
        ("1.0.0", "placeholder"),
        ("1.13.1.1.15.0", "xla"),
        ("2.9.0.2.15.32035", "xla"),
        ("2.10.0.1", "native"),
        ("2.13.3.0", "native"),
        ("2.14.3.0+abc", "native"),
    ],
)
def test_the_version_says_which_stack_it_is(tmp_path, version, stack):
    found = setup(tmp_path, version, devices=2)

    assert found.stack == stack
    assert found.facts == {"stack": stack, "torch_neuronx": version, "devices": 2}


@pytest.mark.parametrize("backend", ["neuron", "neuron-xla"])
def test_the_empty_placeholder_is_recognised(tmp_path, backend):
    reason, mend = explain(setup(tmp_path, "1.0"), backend)

    assert "empty placeholder" in reason
    assert "wrong index" in reason
    assert "uninstall" in mend
    assert INDEX_URL in mend


@pytest.mark.parametrize(
    ("version", "backend", "mend"),
    [
        ("2.13.3.0", "neuron-xla", "torch-neuronx==2.9.*"),
        ("2.9.0.2.15", "neuron", "torch-neuronx>=2.13,<2.15"),
    ],
)
def test_the_other_stack_is_told_apart(tmp_path, version, backend, mend):
    reason, advice = explain(setup(tmp_path, version), backend)

    assert version in reason
    assert "another environment" in advice
    assert mend in advice


@pytest.mark.parametrize(
    ("version", "backend"), [("2.13.3.0", "neuron"), ("2.9.0.2", "neuron-xla")]
)
def test_a_complete_setup_has_nothing_to_mend(tmp_path, version, backend):
    assert explain(setup(tmp_path, version), backend) == ("", "")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"devices": 0}, "no Neuron device"),
        ({"python": (3, 11)}, "Python 3.11"),
        ({"python": (3, 15)}, "Python 3.15"),
        ({"version": None}, "not installed"),
        ({"version": None, "lite": "2.12.0.1"}, "libtorch-neuronx-lite"),
    ],
)
def test_each_thing_that_is_missing_is_named_with_its_mend(tmp_path, changes, word):
    reason, mend = explain(setup(tmp_path, **({"version": "2.13.3.0"} | changes)), "neuron")

    assert word in reason
    assert mend


def test_everything_that_is_missing_is_said_at_once(tmp_path):
    reason, mend = explain(setup(tmp_path, "1.0", devices=0, python=(3, 11)), "neuron")

    assert reason.count(";") == 2
    assert mend.index("instance") < mend.index("3.12") < mend.index("pip install")


def test_every_backend_and_neuron_setup_has_an_entry():
    entries = diagnose()

    assert [e["name"] for e in entries] == [*registry.names(), "neuron", "neuron-xla"]
    for entry in entries:
        assert set(entry) == {"name", "available", "reason", "mend", "facts"}
        assert entry["reason"]
        assert isinstance(entry["available"], bool)
    assert entries[0]["available"]


def test_setups_without_a_backend_are_never_available(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "find_neuron_setup", lambda: setup(tmp_path, "2.13.3.0"))
    native, xla = diagnose()[-2:]

    assert not native["available"]
    assert native["reason"] == "this release has no such backend yet"
    assert native["mend"] == ""
    assert "native stack" in xla["reason"]
    assert xla["facts"]["torch_neuronx"] == "2.13.3.0"


def test_a_backend_of_that_name_takes_the_place_of_the_setup(monkeypatch):
    monkeypatch.setattr(doctor.registry, "names", lambda: ("cpu", "neuron"))

    assert [e["name"] for e in diagnose()][-1] == "neuron-xla"


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
