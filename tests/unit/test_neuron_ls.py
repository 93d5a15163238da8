"""Reading neuron-ls: its JSON, its table, and everything that can go wrong in asking it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from trnbench.backends import neuron_ls
from trnbench.backends.neuron_ls import (
    ListedDevice,
    Owner,
    ask_instance_type,
    list_devices,
    parse_json,
    parse_table,
)

SAMPLES = Path(__file__).parents[3] / "shared" / "neuron_samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.exists(), reason="the outputs of real tools lie beside the project only"
)

#: In the documented format, with the fields that newer tools add.
NEW = {
    "instance_type": "trn2.3xlarge",
    "instance_id": "i-00000000000000002",
    "neuron_device": 0,
    "bdf": "0000:33:00.0",
    "cpu_affinity": "0-11",
    "numa_node": "-1",
    "connected_to": None,
    "nc_count": 4,
    "logical_neuroncore_config": 2,
    "memory_size": 96 * 2**30,
    "neuroncore_ids": [0, 1, 2, 3],
    "neuron_processes": [
        {"pid": 71, "command": "python secret.py", "neuron_runtime_version": "2.35.30"},
        {"pid": 72, "command": "", "neuron_runtime_version": ""},
    ],
}
TABLE = """\
instance-type: inf2.24xlarge
instance-id: i-00000000000000003
+--------+--------+----------+--------+-----------+--------------+-----+---------+
| NEURON | NEURON |  NEURON  | NEURON | CONNECTED |     PCI      | PID | RUNTIME |
| DEVICE | CORES  | CORE IDS | MEMORY |  DEVICES  |     BDF      |     | VERSION |
+--------+--------+----------+--------+-----------+--------------+-----+---------+
| 0      | 2      | 0-1      | 32 GB  | 1, 2      | 0000:10:1e.0 | 81  | 2.30.51 |
|        |        |          |        |           |              | 82  | NA      |
| 1      | 2      | 2-3      | 32 GB  | 0, 2      | 0000:10:1f.0 |     |         |
+--------+--------+----------+--------+-----------+--------------+-----+---------+
"""


def install(root, script):
    """A program in the place of neuron-ls."""
    tool = root / "opt/aws/neuron/bin/neuron-ls"
    tool.parent.mkdir(parents=True, exist_ok=True)
    tool.write_text(script, encoding="utf-8")
    tool.chmod(0o755)
    return tool


def says(root, text, then="exit 0"):
    install(root, f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n{then}\n")


def test_all_fields_of_the_newest_format_are_read():
    (found,) = parse_json(json.dumps([NEW]))

    assert found == ListedDevice(
        index=0,
        cores=4,
        core_ids=(0, 1, 2, 3),
        memory_bytes=103_079_215_104,
        lnc=2,
        numa_node=-1,
        connected_to=(),
        owners=(Owner(71, "2.35.30"), Owner(72, None)),
        instance_type="trn2.3xlarge",
    )


def test_neither_the_instance_nor_a_command_is_kept():
    kept = repr(parse_json(json.dumps([NEW]))) + repr(parse_table(TABLE))

    assert "i-0" not in kept
    assert "secret" not in kept


@pytest.mark.parametrize("name", [name for name in NEW if name != "neuron_device"])
@pytest.mark.parametrize("missing", [True, False])
def test_a_section_that_is_null_or_missing_does_not_matter(name, missing):
    changed = {key: value for key, value in NEW.items() if key != name}
    if not missing:
        changed[name] = None
    (found,) = parse_json(json.dumps([changed]))

    assert found.index == 0
    whole = parse_json(json.dumps([NEW]))[0]
    same = [slot for slot in whole.__slots__ if getattr(found, slot) == getattr(whole, slot)]
    assert len(same) >= len(whole.__slots__) - 1


@pytest.mark.parametrize("name", [name for name in NEW if name != "neuron_device"])
@pytest.mark.parametrize("value", [7, "what", [None], {"a": 1}, [{}]])
def test_a_section_of_another_kind_stops_nothing(name, value):
    (found,) = parse_json(json.dumps([NEW | {name: value}]))

    assert found.index == 0


def test_no_device_is_an_empty_list():
    assert parse_json("[]") == ()


def test_the_table_has_gib_and_processes_below_their_device():
    first, second = parse_table(TABLE)

    assert first.memory_bytes == second.memory_bytes == 32 * 2**30
    assert first.owners == (Owner(81, "2.30.51"), Owner(82, "NA"))
    assert (second.index, second.core_ids, second.owners) == (1, (2, 3), ())
    assert first.connected_to == (1, 2)
    assert first.instance_type == "inf2.24xlarge"
    assert first.lnc is None


def test_cells_of_another_kind_are_unknown():
    odd = TABLE.replace("| 32 GB  |", "| much   |").replace("| 0-1 ", "| all ")
    first, _ = parse_table(odd.replace("| 81  |", "| NA  |").replace("| all      |", "| all     |"))

    assert (first.memory_bytes, first.core_ids) == (None, ())
    assert [owner.pid for owner in first.owners] == [82]


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("", "nothing"),
        ("unknown flag `badflag'", "unknown flag"),
        ("{}", "{}"),
        ('[{"device": 0}]', "device"),
        ('[{"neuron_device": "0"}]', "neuron_device"),
        ("[1, 2]", "[1, 2]"),
        ("[{" * 100, "[{[{"),
        ("[" * 100_000, "[[[["),
        (TABLE, "instance-type"),
    ],
)
def test_what_is_no_json_of_devices_is_refused(text, given):
    with pytest.raises(ValueError, match=r"neuron-ls printed .* was wanted") as raised:
        parse_json(text)

    assert given in str(raised.value)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "| a | b |\n| 1 |",
        TABLE.replace("| 1      | 2      |", "| 1      |"),
        TABLE.replace("NEURON", "OTHER"),
        "| NEURON | CORES |\n| 0      | 2     |\n",
        TABLE + "| other | 2 | 2-3 | 32 GB | 0 | 0 | 1 | 2 |\n",
    ],
)
def test_what_is_no_table_of_devices_is_refused(text):
    with pytest.raises(ValueError, match="its table of devices"):
        parse_table(text)


def test_the_tool_below_the_root_is_asked(tmp_path):
    says(tmp_path, json.dumps([NEW]))

    devices, problem = list_devices(tmp_path, os.environ)

    assert problem == ""
    assert [device.index for device in devices] == [0]


def test_the_tool_is_asked_for_json(tmp_path):
    install(tmp_path, '#!/bin/sh\n[ "$*" = --json-output ] && echo "[]" || echo no\n')

    assert list_devices(tmp_path, os.environ) == ((), "")


def test_the_tool_gets_the_environment_that_is_looked_at(tmp_path):
    record = json.dumps([NEW]).replace('"trn2.3xlarge"', '"$NEURON_TEST_TYPE"')
    install(tmp_path, f"#!/bin/sh\ncat <<END\n{record}\nEND\n")
    devices, _ = list_devices(tmp_path, {**os.environ, "NEURON_TEST_TYPE": "trn2.48xlarge"})

    assert devices[0].instance_type == "trn2.48xlarge"


def test_on_another_root_the_path_is_not_searched(tmp_path):
    tool = install(tmp_path / "elsewhere", "#!/bin/sh\necho '[]'\n")
    environ = {**os.environ, "PATH": f"{tool.parent}:{os.environ['PATH']}"}

    devices, problem = list_devices(tmp_path, environ)

    assert devices is None
    assert "neither in /opt/aws/neuron/bin nor on PATH" in problem


def test_on_this_machine_the_path_is_searched(tmp_path, monkeypatch):
    tool = install(tmp_path, "#!/bin/sh\necho '[]'\n")
    monkeypatch.setattr(neuron_ls, "FOLDER", Path("nowhere"))

    assert list_devices(Path("/"), {"PATH": f"{tool.parent}:/usr/bin:/bin"}) == ((), "")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\nexit 1\n", ("exit status 1", "printed nothing: it found no device")),
        ('#!/bin/sh\necho "unknown flag \\`j\'"\nexit 1\n', ("exit status 1", "unknown flag")),
        ("#!/bin/sh\necho broken >&2\nexit 127\n", ("exit status 127", "broken")),
        ("#!/bin/sh\nexit 0\n", ("printed 'nothing'", "JSON array")),
        ("#!/bin/sh\necho usage: neuron-ls\n", ("usage: neuron-ls", "JSON array")),
        ("#!/nowhere/interpreter\n", ("can't be run", "No such file")),
        ("\x7fELF but not really", ("can't be run", "Exec format error")),
    ],
)
def test_a_tool_that_fails_is_a_reason(tmp_path, script, words):
    install(tmp_path, script)

    devices, problem = list_devices(tmp_path, os.environ)

    assert devices is None
    assert [word for word in words if word not in problem] == []


def test_a_tool_that_does_not_answer_is_left(tmp_path, monkeypatch):
    # exec: killing the shell alone would leave a child that holds the pipe.
    install(tmp_path, "#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(neuron_ls, "LIMIT_S", 0.2)

    devices, problem = list_devices(tmp_path, os.environ)

    assert devices is None
    assert "had not answered" in problem


def test_the_instance_type_is_read_from_the_table(tmp_path):
    says(tmp_path, TABLE)

    assert ask_instance_type(tmp_path, os.environ) == "inf2.24xlarge"


@pytest.mark.parametrize("script", ["exit 1", "echo what", "exit 0"])
def test_an_instance_type_that_the_table_does_not_say_is_unknown(tmp_path, script):
    install(tmp_path, f"#!/bin/sh\n{script}\n")

    assert ask_instance_type(tmp_path, os.environ) is None
    assert ask_instance_type(tmp_path / "empty", os.environ) is None


# ------------------------------------------------------------------ outputs of real tools

JSON_SAMPLES = {
    "neuron-ls_inf2.xlarge_busy.json": ListedDevice(
        0, 2, (0, 1), 34_359_738_368, None, -1, (), (Owner(2199, "2.30.51"),), None
    ),
    "neuron-ls_trn1.2xlarge_idle.json": ListedDevice(
        0, 2, (0, 1), 34_359_738_368, None, -1, (), (), None
    ),
    "neuron-ls_trn2.48xlarge_busy.json": ListedDevice(
        index=0,
        cores=4,
        core_ids=(0, 1, 2, 3),
        memory_bytes=103_079_215_104,
        lnc=2,
        numa_node=1,
        connected_to=(12, 1, 9, 14),
        owners=(Owner(1966680, "2.34.10"), Owner(1966681, "2.34.10")),
        instance_type="trn2.48xlarge",
    ),
}
TABLE_SAMPLES = {
    "neuron-ls_inf2.xlarge.txt": ("inf2.xlarge", 2, (0, 1), 32 * 2**30, None, -1, ()),
    "neuron-ls_trn1.2xlarge.txt": ("trn1.2xlarge", 2, (0, 1), 32 * 2**30, None, -1, ()),
    "neuron-ls_trn2.48xlarge_busy.txt": (
        "trn2.48xlarge",
        4,
        (0, 1, 2, 3),
        96 * 2**30,
        2,
        1,
        (1966680, 1966681),
    ),
}


@needs_samples
@pytest.mark.parametrize("name", JSON_SAMPLES)
def test_real_json_is_read_right(name):
    assert parse_json((SAMPLES / name).read_text(encoding="utf-8")) == (JSON_SAMPLES[name],)


@needs_samples
@pytest.mark.parametrize("name", TABLE_SAMPLES)
def test_a_real_table_is_read_right(name):
    (found,) = parse_table((SAMPLES / name).read_text(encoding="utf-8"))

    assert (
        found.instance_type,
        found.cores,
        found.core_ids,
        found.memory_bytes,
        found.lnc,
        found.numa_node,
        tuple(owner.pid for owner in found.owners),
    ) == TABLE_SAMPLES[name]


@needs_samples
def test_json_and_table_of_one_machine_agree():
    (listed,) = parse_json((SAMPLES / "neuron-ls_trn2.48xlarge_busy.json").read_text())
    (table,) = parse_table((SAMPLES / "neuron-ls_trn2.48xlarge_busy.txt").read_text())

    assert listed == table


@needs_samples
@pytest.mark.parametrize(
    ("parse", "own"), [(parse_json, JSON_SAMPLES), (parse_table, TABLE_SAMPLES)]
)
def test_every_other_real_file_is_refused(parse, own):
    others = [path for path in sorted(SAMPLES.iterdir()) if path.name not in own]
    assert len(others) >= 20

    for path in others:
        with pytest.raises(ValueError, match=r"neuron-ls printed .* was wanted"):
            parse(path.read_text(encoding="utf-8"))
