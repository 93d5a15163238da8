"""What the driver says under /dev and in sysfs, in trees made below a root of our own."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from trnbench.backends.neuron_sysfs import (
    SysfsDevice,
    find_closed,
    find_device_files,
    parse_count,
    parse_version,
    parse_word,
    read_devices,
    read_driver_version,
    read_instance_type,
)

SAMPLES = Path(__file__).parents[3] / "shared" / "neuron_samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.exists(), reason="the outputs of real tools lie beside the project only"
)
TREE = "sys/devices/virtual/neuron_device"


def write(root, values):
    for name, value in values.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value, encoding="utf-8")


def device(index, **changes):
    values = {
        "core_count": "8",
        "info/architecture/arch_type": "NDv4",
        "info/architecture/device_name": "Trainium2",
        "info/architecture/instance_type": "Trn2",
        "info/serial_number": "00000000000000aa",
    } | changes
    return {f"{TREE}/neuron{index}/{name}": f"{value}\n" for name, value in values.items()}


def state_of(root):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_devices_are_read_in_the_order_of_their_numbers(tmp_path):
    for index in (10, 2, 0):
        write(tmp_path, device(index))
    found, notes = read_devices(tmp_path)

    assert [one.index for one in found] == [0, 2, 10]
    assert found[0] == SysfsDevice(0, 8, "NDv4", "Trainium2", "Trn2")
    assert notes == ()


def test_what_is_missing_is_unknown_without_a_word(tmp_path):
    (tmp_path / TREE / "neuron0").mkdir(parents=True)

    assert read_devices(tmp_path) == ((SysfsDevice(0, None, None, None, None),), ())


def test_without_sysfs_there_is_nothing(tmp_path):
    assert read_devices(tmp_path) == ((), ())
    assert read_driver_version(tmp_path) == (None, ())
    assert find_device_files(tmp_path) == ()
    assert read_instance_type(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("core_count", "many", "core_count holds 'many', and one number"),
        ("core_count", "0", "one number"),
        ("core_count", "-2", "one number"),
        ("core_count", "", "holds ''"),
        ("info/architecture/device_name", "two words", "one word"),
        ("info/architecture/device_name", "x" * 500, "one word"),
        ("info/architecture/arch_type", "../../etc", "one word"),
    ],
)
def test_what_is_no_value_is_unknown_with_a_reason(tmp_path, name, value, words):
    write(tmp_path, device(0, **{name: value}))
    (found,), (note,) = read_devices(tmp_path)

    assert words in note
    assert len(note) < 150
    assert [getattr(found, slot) for slot in found.__slots__].count(None) == 1


def test_a_file_that_may_not_be_read_is_a_reason(tmp_path):
    """Before driver 2.28 ``core_count`` was root's alone; here it is a folder, which root can't
    read as a file either."""
    write(tmp_path, device(0))
    count = tmp_path / TREE / "neuron0" / "core_count"
    count.unlink()
    count.mkdir()
    (found,), (note,) = read_devices(tmp_path)

    assert found.core_count is None
    assert found.device_name == "Trainium2"
    assert note == "neuron0/core_count can't be read: Is a directory"


def test_nothing_is_written_and_no_serial_number_is_read(tmp_path, monkeypatch):
    write(tmp_path, device(0) | {"dev/neuron0": "", "sys/module/neuron/version": "2.31.7.0\n"})
    before, read = state_of(tmp_path), []
    read_text = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda path, **named: read.append(path.name) or read_text(path, **named)
    )
    found, _ = read_devices(tmp_path)
    read_driver_version(tmp_path)
    find_closed(tmp_path, find_device_files(tmp_path))

    assert sorted(read) == ["arch_type", "core_count", "device_name", "instance_type", "version"]
    assert "00aa" not in repr(found)
    assert state_of(tmp_path) == before


def test_only_devices_count_among_the_device_files(tmp_path):
    names = ("neuron2", "neuron0", "neuron10", "neuron", "neuron_monitor", "neuron0p1", "xneuron3")
    write(tmp_path, {f"dev/{name}": "" for name in names})

    assert find_device_files(tmp_path) == ("neuron0", "neuron2", "neuron10")


def test_a_device_file_must_be_open_to_both_reading_and_writing(tmp_path, monkeypatch):
    """As any user but root: whoever runs this test, the question that is put is the same."""
    write(tmp_path, {f"dev/neuron{index}": "" for index in range(3)})
    asked = []

    def access(path, mode):
        asked.append(mode)
        return path.name != "neuron1"

    monkeypatch.setattr(os, "access", access)

    assert find_closed(tmp_path, find_device_files(tmp_path)) == ("neuron1",)
    assert set(asked) == {os.R_OK | os.W_OK}


@pytest.mark.parametrize("version", ["2.26.5.0", "2.26.0", "2.31.7.0-1", "2.9.4.0+8a6f"])
def test_the_driver_that_is_loaded(tmp_path, version):
    write(tmp_path, {"sys/module/neuron/version": f"{version}\n"})

    assert read_driver_version(tmp_path) == (version, ())


def test_a_driver_version_that_is_none_is_a_reason(tmp_path):
    write(tmp_path, {"sys/module/neuron/version": "unknown\n"})
    version, (note,) = read_driver_version(tmp_path)

    assert version is None
    assert "holds 'unknown', and a version such as 2.26.5.0 was wanted" in note


@pytest.mark.parametrize(
    ("product", "wanted"),
    [
        ("trn1.2xlarge\n", "trn1.2xlarge"),
        ("trn1n.32xlarge\n", "trn1n.32xlarge"),
        ("trn2u.48xlarge\n", "trn2u.48xlarge"),
        ("inf2.xlarge\n", "inf2.xlarge"),
        ("m5.large\n", None),
        ("p5.48xlarge\n", None),
        ("Google Compute Engine\n", None),
        ("", None),
    ],
)
def test_the_instance_type_is_the_product_on_ec2(tmp_path, product, wanted):
    write(tmp_path, {"sys/devices/virtual/dmi/id/product_name": product})

    assert read_instance_type(tmp_path) == wanted


# ------------------------------------------------------------------ values from real machines

REAL = {
    "inf2.xlarge": (SysfsDevice(0, 2, "NDv3", "Inferentia2", "Inf2"), None),
    "trn1.2xlarge": (SysfsDevice(0, None, "NDv2", "Trainium1", "Trn1"), "2.26.5.0"),
}


@needs_samples
@pytest.mark.parametrize("instance", REAL)
def test_real_values_are_read_right(tmp_path, instance):
    values = json.loads((SAMPLES / "sysfs_values.json").read_text(encoding="utf-8"))["values"]
    assert set(values) == set(REAL)
    write(
        tmp_path,
        {
            (name.removeprefix("/") if name.startswith("/") else f"{TREE}/{name}"): f"{value}\n"
            for name, value in values[instance].items()
        },
    )

    assert (read_devices(tmp_path)[0][0], read_driver_version(tmp_path)[0]) == REAL[instance]


@needs_samples
def test_what_is_read_stands_in_a_real_tree():
    tree = (SAMPLES / "sysfs_tree_inf2.xlarge.txt").read_text(encoding="utf-8")
    files = set(re.findall(r"^neuronN/(\S+)$", tree, re.MULTILINE))

    assert {
        "core_count",
        "info/architecture/arch_type",
        "info/architecture/device_name",
        "info/architecture/instance_type",
    } <= files
    assert f"/{TREE}/neuron0" in tree


@needs_samples
@pytest.mark.parametrize("parse", [parse_count, parse_word, parse_version])
def test_every_real_file_is_refused_as_one_value(parse):
    paths = sorted(SAMPLES.iterdir())
    assert len(paths) >= 20

    for path in paths:
        with pytest.raises(ValueError, match=r"holds .* was wanted"):
            parse(path.name, path.read_text(encoding="utf-8"))
