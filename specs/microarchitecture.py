"""Which CPU core this is, by what it reports about itself: never guessed."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .catalog import read_toml
from .figure import CatalogError

TABLE = "processors.toml"

#: Features that decide a rate. ``avx10_2`` and later AMX forms came after every core of the
#: table: what such a core does per cycle isn't known here.
DECISIVE = frozenset(
    {
        *("fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
        *("amx_tile", "amx_bf16", "amx_int8", "amx_fp16"),
        *("avx10_2", "amx_tf32", "amx_fp8", "amx_avx512"),
    }
)
_WIDTHS = frozenset({"128", "256", "512"})
_LATER = frozenset({"avx10_2", "amx_tf32", "amx_fp8", "amx_avx512"})


@dataclass(frozen=True, slots=True)
class CpuFacts:
    """What a CPU says about itself.

    ``architecture``: "x86_64" or "aarch64". x86: ``vendor`` as CPUID gives it
    ("GenuineIntel"), ``family`` and ``model`` the display values, ``flags`` as Linux names
    them. Arm: ``implementer`` and ``part`` as in /proc/cpuinfo (0x41, 0xd40), ``flags`` its
    "Features". ``physical_cores`` of the machine. ``virtual``: behind a hypervisor.
    ``amx_fp16``: whether the core has AMX-FP16, which Linux doesn't list among the flags.
    None: not known.
    """

    vendor: str
    family: int | None
    model: int | None
    name: str
    flags: frozenset[str]
    architecture: str
    physical_cores: int | None
    virtual: bool | None
    implementer: int | None = None
    part: int | None = None
    amx_fp16: bool | None = None

    @classmethod
    def from_facts(cls, facts: Mapping[str, object]) -> CpuFacts:
        """From the plain facts of a device: ``architecture``, ``vendor``, ``family``,
        ``model``, ``part`` ("0xd40"), ``model_name``, ``flags`` (one text, or several),
        ``physical_cores``, ``virtual``, ``amx_fp16``; those that aren't there are unknown.
        An Arm core's implementer is its ``vendor`` ("0x41")."""
        architecture = str(facts.get("architecture") or "")
        architecture = {"AMD64": "x86_64", "arm64": "aarch64"}.get(architecture, architecture)
        flags = facts.get("flags") or ""
        vendor = str(facts.get("vendor") or "")
        virtual, amx_fp16 = facts.get("virtual"), facts.get("amx_fp16")
        return cls(
            vendor=vendor,
            family=_whole(facts.get("family")),
            model=_whole(facts.get("model")),
            name=str(facts.get("model_name") or ""),
            flags=frozenset(flags.split() if isinstance(flags, str) else _texts(flags)),
            architecture=architecture,
            physical_cores=_whole(facts.get("physical_cores")),
            virtual=virtual if isinstance(virtual, bool) else None,
            implementer=_whole(vendor) if architecture == "aarch64" else None,
            part=_whole(facts.get("part")),
            amx_fp16=amx_fp16 if isinstance(amx_fp16, bool) else None,
        )


@dataclass(frozen=True, slots=True)
class Core:
    """What one core can start per cycle: ``fma`` and, beside them, ``add``, by width in bits.

    ``features`` are those that the core can report, ``always`` those that it has though no
    system lists them.
    """

    name: str
    fma: Mapping[int, int]
    add: Mapping[int, int]
    features: frozenset[str]
    always: frozenset[str] = frozenset()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Recognition:
    """The core, or None; ``reason`` says why not, or how it was decided where the facts
    contradict each other."""

    core: Core | None
    reason: str = ""


def _whole(value: object) -> int | None:
    """A whole number as such or in decimal or hexadecimal text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            return None
    return None


def _texts(values: object) -> Iterable[str]:
    if not isinstance(values, Iterable):
        raise TypeError(f"flags are {values!r}; wanted one text, or several")
    return map(str, values)


def recognise(facts: CpuFacts) -> Recognition:
    """The core of the table that ``facts`` describe."""
    table = _table()
    if facts.architecture == "x86_64":
        vendor = facts.vendor
    elif facts.architecture == "aarch64":
        vendor = "an unnamed implementer" if facts.implementer is None else hex(facts.implementer)
    else:
        return Recognition(None, f"no table of cores for architecture '{facts.architecture}'")
    for unknown in table["unknown"]:
        if unknown["vendor"] == vendor:
            return Recognition(None, str(unknown["reason"]))
    later = sorted(_LATER & facts.flags)
    if later:
        return Recognition(None, f"{', '.join(later)}: newer than every core in {TABLE}")
    entry = next((e for e in table["core"] if _is_entry(e, vendor, facts)), None)
    if entry is None:
        return Recognition(None, f"unknown microarchitecture: {_words(facts, vendor)}")
    core = _core(entry)
    beyond = sorted((facts.flags & DECISIVE) - core.features)
    if facts.architecture == "aarch64" or not beyond:
        return Recognition(core)
    contradiction = (
        f"model {facts.model} of family {facts.family} is {core.name}, which has no "
        f"{', '.join(beyond)}, but the flags show it"
    )
    for rule in table["by_flags"]:
        if rule["vendor"] == vendor and facts.flags.issuperset(rule["flags"]):
            return Recognition(
                _core(rule), f"{contradiction}; decided by the flags: {rule['reason']}"
            )
    return Recognition(None, f"{contradiction}; no rule decides by such flags")


def _words(facts: CpuFacts, vendor: str) -> str:
    if facts.architecture == "aarch64":
        part = "no part number" if facts.part is None else f"part {facts.part:#x}"
        return f"implementer {vendor}, {part} isn't in {TABLE}"
    return f"{vendor} family {facts.family} model {facts.model} isn't in {TABLE}"


def _is_entry(entry: Mapping[str, Any], vendor: str, facts: CpuFacts) -> bool:
    if entry["vendor"] != vendor:
        return False
    if "parts" in entry:
        return facts.part in entry["parts"]
    return facts.family == entry["family"] and _has_model(entry["models"], facts.model)


def _has_model(models: Iterable[int | list[int]], model: int | None) -> bool:
    if model is None:
        return False
    return any(
        entry[0] <= model <= entry[1] if isinstance(entry, list) else entry == model
        for entry in models
    )


def _core(entry: Mapping[str, Any]) -> Core:
    return Core(
        name=entry["name"],
        fma={int(width): int(count) for width, count in entry["fma"].items()},
        add={int(width): int(count) for width, count in entry.get("add", {}).items()},
        features=frozenset(entry["features"]),
        always=frozenset(entry.get("always", ())),
        note=entry.get("note", ""),
    )


@functools.lru_cache(maxsize=1)
def _table() -> Mapping[str, list[Mapping[str, Any]]]:
    data = read_toml(Path(__file__).parent / TABLE)
    return check_table(data)


def check_table(data: Mapping[str, Any]) -> Mapping[str, list[Mapping[str, Any]]]:
    """The table's three lists, checked: ``CatalogError`` names core and field."""
    checked = {}
    for kind in ("core", "unknown", "by_flags"):
        entries = data.get(kind, [])
        if not entries:
            raise CatalogError(f"{TABLE}: no [[{kind}]]; wanted at least one")
        for entry in entries:
            _check_entry(kind, entry, data.get("source", {}))
        checked[kind] = list(entries)
    return checked


def _check_entry(kind: str, entry: Mapping[str, Any], sources: Mapping[str, Any]) -> None:
    for field in ("name", "vendor"):
        _want(entry, kind, field, "text", ok=isinstance(entry.get(field), str))
    if kind != "core":
        _want(entry, kind, "reason", "text", ok=isinstance(entry.get("reason"), str))
    if kind == "unknown":
        return
    _want(entry, kind, "fma", "operations per cycle by width", ok=bool(entry.get("fma")))
    for field in ("fma", "add"):
        counts = entry.get(field, {})
        ok = counts.keys() <= _WIDTHS and all(
            isinstance(count, int) and count >= 1 for count in counts.values()
        )
        _want(entry, kind, field, f"a count of 1 or more for {', '.join(sorted(_WIDTHS))}", ok=ok)
    if kind == "core":
        named = ("parts" in entry) != ({"family", "models"} <= entry.keys())
        _want(entry, kind, "models", "family and models, or parts", ok=named)
        cited = set(entry.get("sources", ()))
        _want(
            entry,
            kind,
            "sources",
            "ids of [source] tables",
            ok=bool(cited) and cited <= set(sources),
        )


def _want(entry: Mapping[str, Any], kind: str, field: str, wanted: str, *, ok: bool) -> None:
    if not ok:
        name = entry.get("name", "without a name")
        raise CatalogError(
            f"{TABLE}: {kind} '{name}', field '{field}': {entry.get(field)!r}; wanted {wanted}"
        )
