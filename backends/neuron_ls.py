"""Reading ``neuron-ls``, which lists Neuron devices and the processes on them.

It claims no core. Source: AWS Neuron documentation, tools/neuron-sys-tools/neuron-ls, and
outputs seen on inf2, trn1 and trn2 instances (read 2026-11). An instance's id and the command lines
of processes stand in its output; neither is kept.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

FOLDER = Path("opt/aws/neuron/bin")
LIMIT_S = 10.0
_GIB = 2**30
_NUMBER = re.compile(r"-?\d{1,18}")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that uses a device through the Neuron runtime."""

    pid: int
    runtime_version: str | None


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """One device as neuron-ls lists it; ``None`` for what it doesn't say.

    ``cores`` are logical cores where a logical core is made of several (Trainium2: 4 at LNC=2),
    as far as was seen; ``lnc`` is said by newer tools only, and so is ``instance_type``.
    """

    index: int
    cores: int | None
    core_ids: tuple[int, ...]
    memory_bytes: int | None
    lnc: int | None
    numa_node: int | None
    connected_to: tuple[int, ...]
    owners: tuple[Owner, ...]
    instance_type: str | None


def list_devices(
    root: Path, environ: Mapping[str, str]
) -> tuple[tuple[ListedDevice, ...] | None, str]:
    """What neuron-ls lists, or ``None`` and why it could not be asked or understood.

    The tool is the one below ``root``; only on "/" is it also looked for on PATH.
    """
    tool = _find_tool(root, environ)
    if tool is None:
        return None, f"neuron-ls is neither in /{FOLDER} nor on PATH"
    asked, problem = _ask(tool, environ, "--json-output")
    if asked is None:
        return None, problem
    try:
        return parse_json(asked), ""
    except ValueError as error:
        return None, str(error)


def ask_instance_type(root: Path, environ: Mapping[str, str]) -> str | None:
    """Like "inf2.xlarge", from the head of the table: older tools leave it out of their JSON."""
    tool = _find_tool(root, environ)
    table, _ = _ask(tool, environ) if tool else (None, "")
    try:
        devices = parse_table(table) if table else ()
    except ValueError:
        return None
    return devices[0].instance_type if devices else None


def parse_json(text: str) -> tuple[ListedDevice, ...]:
    """The devices in ``neuron-ls --json-output``. Raises ``ValueError`` for anything else."""
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise _not_understood(text, "its JSON array of devices") from None
    if not isinstance(found, list) or not all(
        isinstance(item, dict) and isinstance(item.get("neuron_device"), int) for item in found
    ):
        raise _not_understood(text, "a JSON array of objects that have a 'neuron_device'")
    return tuple(_read_device(item) for item in found)


def parse_table(text: str) -> tuple[ListedDevice, ...]:
    """The devices in the table that ``neuron-ls`` prints for people. Its "GB" are GiB (34359738368
    bytes are printed as "32 GB"). Raises ``ValueError`` for anything else."""
    header = dict(re.findall(r"^([a-z-]+): (\S+)$", text, re.MULTILINE))
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.splitlines()
        if line.strip().startswith("|")
    ]
    heads = [row for row in rows if not re.fullmatch(r"\d*", row[0])]
    even = len({len(row) for row in rows}) == 1
    titles = [" ".join(filter(None, words)) for words in zip(*heads, strict=True)] if even else []
    if titles[:1] != ["NEURON DEVICE"]:
        raise _not_understood(text, "its table of devices, or better its JSON")
    devices: list[ListedDevice] = []
    for row in rows[len(heads) :]:
        cells = dict(zip(titles, row, strict=True))
        owners = _owners_in(cells)
        if cells["NEURON DEVICE"]:
            devices.append(_read_row(cells, header, owners))
        elif devices:
            # A further process of the device above.
            last = devices.pop()
            devices.append(replace(last, owners=(*last.owners, *owners)))
    return tuple(devices)


def _find_tool(root: Path, environ: Mapping[str, str]) -> str | None:
    tool = root / FOLDER / "neuron-ls"
    if tool.is_file():
        return str(tool)
    return shutil.which("neuron-ls", path=environ.get("PATH")) if root == Path("/") else None


def _ask(tool: str, environ: Mapping[str, str], *options: str) -> tuple[str | None, str]:
    """What the tool prints, or ``None`` and why there is nothing to read."""
    try:
        done = subprocess.run(
            [tool, *options],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            check=False,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return None, f"neuron-ls had not answered after {LIMIT_S:.0f} s"
    except OSError as error:
        return None, f"neuron-ls can't be run: {error.strerror}"
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:200]
        told = f"said: {said}" if said else "printed nothing: it found no device"
        return None, f"neuron-ls left with exit status {done.returncode} and {told}"
    return done.stdout, ""


def _read_device(item: Mapping[str, Any]) -> ListedDevice:
    return ListedDevice(
        index=item["neuron_device"],
        cores=_number(item.get("nc_count")),
        core_ids=_numbers(item.get("neuroncore_ids")),
        memory_bytes=_number(item.get("memory_size")),
        lnc=_number(item.get("logical_neuroncore_config")),
        numa_node=_number(item.get("numa_node")),
        connected_to=_numbers(item.get("connected_to")),
        owners=tuple(
            Owner(owner["pid"], _text(owner.get("neuron_runtime_version")))
            for owner in _items(item.get("neuron_processes"))
            if isinstance(owner, dict) and isinstance(owner.get("pid"), int)
        ),
        instance_type=_text(item.get("instance_type")),
    )


def _read_row(
    cells: Mapping[str, str], header: Mapping[str, str], owners: tuple[Owner, ...]
) -> ListedDevice:
    memory = re.fullmatch(r"(\d+) GB", cells.get("NEURON MEMORY", ""))
    ids = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", cells.get("NEURON CORE IDS", ""))
    return ListedDevice(
        index=int(cells["NEURON DEVICE"]),
        cores=_number(cells.get("NEURON CORES")),
        core_ids=tuple(range(int(ids[1]), int(ids[2] or ids[1]) + 1)) if ids else (),
        memory_bytes=int(memory[1]) * _GIB if memory else None,
        lnc=_number(header.get("logical-neuroncore-config")),
        numa_node=_number(cells.get("NUMA NODE")),
        connected_to=tuple(map(int, re.findall(r"\d+", cells.get("CONNECTED DEVICES", "")))),
        owners=owners,
        instance_type=header.get("instance-type"),
    )


def _owners_in(cells: Mapping[str, str]) -> tuple[Owner, ...]:
    pid = _number(cells.get("PID"))
    return () if pid is None else (Owner(pid, cells.get("RUNTIME VERSION") or None),)


def _number(value: object) -> int | None:
    """NUMA nodes are strings ("-1": there is only one), the other numbers are numbers."""
    return int(value) if isinstance(value, int | str) and _NUMBER.fullmatch(str(value)) else None


def _numbers(value: object) -> tuple[int, ...]:
    return tuple(item for item in _items(value) if isinstance(item, int))


def _items(value: object) -> list[Any]:
    # Null where there is one chip only.
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _not_understood(text: str, wanted: str) -> ValueError:
    words = " ".join(text.split())
    given = f"{words[:60]}..." if len(words) > 60 else words or "nothing"
    return ValueError(f"neuron-ls printed {given!r}, and {wanted} was wanted")
