"""What the operating system says about the processor. Facts only; unknown is ``None``."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

PROC = Path("/proc")
SYS = Path("/sys")
_SUFFIXES = {"K": 2**10, "M": 2**20, "G": 2**30}


class CpuFacts(TypedDict):
    """Facts of the first processor.

    ``vendor``: CPUID vendor ("GenuineIntel"), or the implementer number of an Arm core
    ("0x41"). ``family``, ``model``, ``stepping``: CPUID numbers on x86. ``part``: Arm part
    number ("0xd40"). ``flags``: instruction set flags as the kernel names them.
    ``virtual``: whether a hypervisor shows itself; ``None`` where that can't be told.
    ``l1d_bytes``, ``l2_bytes``, ``l3_bytes``: one instance of each level; ``l3_shared_by``:
    logical processors that share the last level.
    """

    architecture: str
    vendor: str | None
    family: int | None
    model: int | None
    stepping: int | None
    part: str | None
    model_name: str | None
    flags: tuple[str, ...]
    physical_cores: int | None
    logical_cores: int | None
    virtual: bool | None
    l1d_bytes: int | None
    l2_bytes: int | None
    l3_bytes: int | None
    l3_shared_by: int | None


def read_cpu(
    proc: Path = PROC,
    sys: Path = SYS,
    architecture: str | None = None,
    system: str | None = None,
) -> CpuFacts:
    """The facts, from ``/proc/cpuinfo`` and ``/sys/devices/system/cpu`` on Linux and ``sysctl``
    on macOS. The arguments stand in for this machine in tests."""
    architecture = architecture or platform.machine()
    if (system or platform.system()) == "Darwin":
        return _read_darwin(architecture, _sysctl)
    return _read_linux(proc, sys, architecture)


def _read_linux(proc: Path, sys: Path, architecture: str) -> CpuFacts:
    blocks = _cpuinfo_blocks(proc / "cpuinfo")
    first = blocks[0] if blocks else {}
    flags = tuple((first.get("flags") or first.get("Features") or "").split())
    cpus = sys / "devices" / "system" / "cpu"
    caches = _caches(cpus / "cpu0" / "cache")
    is_x86 = architecture in {"x86_64", "AMD64", "i686"}
    return CpuFacts(
        architecture=architecture,
        vendor=first.get("vendor_id") or first.get("CPU implementer"),
        family=_integer(first.get("cpu family")),
        model=_integer(first.get("model")),
        stepping=_integer(first.get("stepping")),
        part=first.get("CPU part"),
        model_name=first.get("model name"),
        flags=flags,
        physical_cores=_physical_cores(blocks, cpus),
        logical_cores=len(blocks) or None,
        # Only x86 has a flag for it; elsewhere its absence would prove nothing.
        virtual="hypervisor" in flags if is_x86 and flags else None,
        l1d_bytes=caches.get(1, (None, None))[0],
        l2_bytes=caches.get(2, (None, None))[0],
        l3_bytes=caches.get(3, (None, None))[0],
        l3_shared_by=caches.get(3, (None, None))[1],
    )


def _cpuinfo_blocks(path: Path) -> list[dict[str, str]]:
    text = _text(path)
    if text is None:
        return []
    blocks = []
    for part in text.split("\n\n"):
        pairs = (line.split(":", 1) for line in part.splitlines() if ":" in line)
        block = {key.strip(): value.strip() for key, value in pairs}
        # Some Arm kernels close with a block about the board, which is no processor.
        if "processor" in block:
            blocks.append(block)
    return blocks


def _physical_cores(blocks: list[dict[str, str]], cpus: Path) -> int | None:
    """Distinct (package, core) pairs, from cpuinfo on x86 and from sysfs elsewhere."""
    pairs = {(block.get("physical id"), block["core id"]) for block in blocks if "core id" in block}
    if not pairs:
        for topology in cpus.glob("cpu[0-9]*/topology"):
            core = _text(topology / "core_id")
            if core is not None:
                pairs.add((_text(topology / "physical_package_id"), core))
    return len(pairs) or None


def _caches(folder: Path) -> dict[int, tuple[int | None, int | None]]:
    """Level -> (bytes, logical processors that share it), of data and unified caches."""
    found = {}
    for index in folder.glob("index[0-9]*"):
        level = _integer(_text(index / "level"))
        if level is None or _text(index / "type") == "Instruction":
            continue
        found[level] = (
            _size_bytes(_text(index / "size")),
            _count_listed(_text(index / "shared_cpu_list")),
        )
    return found


def _size_bytes(text: str | None) -> int | None:
    """49152 for "48K"."""
    if not text:
        return None
    number, unit = (text[:-1], _SUFFIXES.get(text[-1])) if text[-1].isalpha() else (text, 1)
    return int(number) * unit if number.isdigit() and unit else None


def _count_listed(text: str | None) -> int | None:
    """5 for "0-3,8"."""
    if not text:
        return None
    count = 0
    for part in text.split(","):
        low, _, high = part.partition("-")
        count += int(high or low) - int(low) + 1
    return count


def _read_darwin(architecture: str, sysctl: Callable[[str], str | None]) -> CpuFacts:
    features = (
        f"{sysctl('machdep.cpu.features') or ''} {sysctl('machdep.cpu.leaf7_features') or ''}"
    )
    return CpuFacts(
        architecture=architecture,
        vendor=sysctl("machdep.cpu.vendor") or ("Apple" if architecture == "arm64" else None),
        family=_integer(sysctl("machdep.cpu.family")),
        model=_integer(sysctl("machdep.cpu.model")),
        stepping=_integer(sysctl("machdep.cpu.stepping")),
        part=None,
        model_name=sysctl("machdep.cpu.brand_string"),
        flags=tuple(features.lower().split()),
        physical_cores=_integer(sysctl("hw.physicalcpu")),
        logical_cores=_integer(sysctl("hw.logicalcpu")),
        virtual={"0": False, "1": True}.get(sysctl("kern.hv_vmm_present") or ""),
        l1d_bytes=_integer(sysctl("hw.l1dcachesize")),
        l2_bytes=_integer(sysctl("hw.l2cachesize")),
        l3_bytes=_integer(sysctl("hw.l3cachesize")),
        l3_shared_by=None,
    )


def _sysctl(name: str) -> str | None:
    """The value, or ``None`` where this Mac has no such name."""
    done = subprocess.run(
        ["sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=False
    )
    return done.stdout.strip() or None if done.returncode == 0 else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
