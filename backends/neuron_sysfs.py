"""What the Neuron driver says of its devices under /dev and in sysfs. Only ever read: the
counters there are cleared by writing to them, and writing to ``reset`` resets the device.

Source: AWS Neuron documentation, tools/neuron-sys-tools/neuron-sysfs-user-guide, and trees seen on
trn1 and inf2 instances (read 2026-11). Paths are below a root, "/" on a machine of one's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DEVICES = Path("sys/devices/virtual/neuron_device")
#: The driver that is loaded; ``modinfo neuron`` shows the one on disk, which can be newer.
DRIVER_VERSION = Path("sys/module/neuron/version")
#: On EC2 the name of the product is the type of the instance.
PRODUCT_NAME = Path("sys/devices/virtual/dmi/id/product_name")

_WORD = re.compile(r"[A-Za-z0-9][\w.+-]{0,63}")
_VERSION = re.compile(r"\d+(?:\.\d+){1,4}(?:[-+~][\w.+~-]+)?")
_INSTANCE_TYPE = re.compile(r"(?:trn|inf)\d[a-z]*\.[\w-]+")


@dataclass(frozen=True, slots=True)
class SysfsDevice:
    """One device. The serial number is never read. ``core_count``: NeuronCores as the driver
    counts them. ``instance_family`` is like "Trn1": sysfs has no size."""

    index: int
    core_count: int | None
    arch_type: str | None
    device_name: str | None
    instance_family: str | None


def find_device_files(root: Path) -> tuple[str, ...]:
    """Names of the device files, neuron0 first."""
    names = (path.name for path in (root / "dev").glob("neuron*"))
    return tuple(sorted(filter(_is_device, names), key=_index_of))


def find_closed(root: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of these device files that this user may not both read and write, as the runtime
    does. Nothing is opened: opening a device claims it."""
    return tuple(name for name in names if not os.access(root / "dev" / name, os.R_OK | os.W_OK))


def read_devices(root: Path) -> tuple[tuple[SysfsDevice, ...], tuple[str, ...]]:
    """The devices in order, and why any of their facts is unknown (before driver 2.28 only root
    may read ``core_count``)."""
    notes: list[str] = []
    devices = []
    folders = [path for path in (root / DEVICES).glob("neuron*") if _is_device(path.name)]
    for folder in sorted(folders, key=lambda path: _index_of(path.name)):
        architecture = folder / "info" / "architecture"
        count = _read(folder / "core_count", parse_count, notes)
        devices.append(
            SysfsDevice(
                index=_index_of(folder.name),
                core_count=None if count is None else int(count),
                arch_type=_read(architecture / "arch_type", parse_word, notes),
                device_name=_read(architecture / "device_name", parse_word, notes),
                instance_family=_read(architecture / "instance_type", parse_word, notes),
            )
        )
    return tuple(devices), tuple(notes)


def read_driver_version(root: Path) -> tuple[str | None, tuple[str, ...]]:
    """Version of the driver that is loaded, such as "2.26.5.0"; ``None`` with no reason where no
    driver is loaded."""
    notes: list[str] = []
    return _read(root / DRIVER_VERSION, parse_version, notes), tuple(notes)


def read_instance_type(root: Path) -> str | None:
    """Like "trn1.2xlarge"; ``None`` off EC2, and on instances without Neuron devices."""
    path = root / PRODUCT_NAME
    name = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
    return name if _INSTANCE_TYPE.fullmatch(name) else None


def parse_count(name: str, text: str) -> str:
    """A count of cores. Raises ``ValueError``."""
    return _matched(re.compile(r"[1-9]\d{0,3}"), name, text, "one number of 1 to 9999")


def parse_word(name: str, text: str) -> str:
    """A name such as "NDv2" or "Trainium1". Raises ``ValueError``."""
    return _matched(_WORD, name, text, "one word of at most 64 letters")


def parse_version(name: str, text: str) -> str:
    """A version such as "2.26.5.0". Raises ``ValueError``."""
    return _matched(_VERSION, name, text, "a version such as 2.26.5.0")


def _matched(pattern: re.Pattern[str], name: str, text: str, wanted: str) -> str:
    value = text.strip()
    if not pattern.fullmatch(value):
        given = value if len(value) <= 40 else f"{value[:40]}..."
        raise ValueError(f"{name} holds {given!r}, and {wanted} was wanted")
    return value


def _read(path: Path, parse: Callable[[str, str], str], notes: list[str]) -> str | None:
    # The name of the value says enough: the whole path would only repeat where sysfs lies.
    name = "/".join(path.parts[-2:])
    if not path.exists():
        return None
    try:
        return parse(name, path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        notes.append(f"{name} can't be read: {error.strerror}")
    except ValueError as error:
        notes.append(str(error))
    return None


def _is_device(name: str) -> bool:
    # Not "neuron_device" or "neuron0_something".
    return re.fullmatch(r"neuron\d+", name) is not None


def _index_of(name: str) -> int:
    return int(name.removeprefix("neuron"))
