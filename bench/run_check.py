"""Whether a stored run is what it was meant to be: for machines that nobody watches.

A run can end well and say nothing: every case refused, another backend measured, operators that
ran on the host. This asks what a person would look at first, and says each thing that isn't so.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..results.archive import read_run
from ..results.origin import SIMULATED_NOTICE
from ..results.record import ACCEPTED, Device, Record, Status
from ..results.store import StoredRun
from ..results.table import name_case
from .errors import UsageError

_NAMED_CASES = 3
#: Facts that name a device; others, as a version, would let any device pass.
_NAMES = ("instance_type", "device_name")
#: Samples of another processor, or of the compiler.
_NEVER_RIGHT = frozenset({Status.FALLBACK_TO_CPU, Status.RECOMPILED})


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a run must be.

    ``device`` is an id in the catalog ("trainium1"), an instance type, or words of the device's
    own name; None asks only that the device is named. ``allow_simulated`` lets a stand-in for
    hardware pass: then nothing in the run says anything of that hardware. ``strict``: no case
    may end other than OK, UNSUPPORTED or SKIPPED. Raises ``UsageError`` for an empty ``device``.
    """

    backend: str
    least_ok: int = 1
    device: str | None = None
    allow_simulated: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        if self.device is not None and not self.device.strip():
            raise UsageError(
                f"--device '{self.device}' given, which every device would match; wanted a chip, "
                "an instance type or words of the device's name: name one, or leave --device out"
            )


def check_run(run: StoredRun, expected: Expectation) -> list[str]:
    """What is wrong with a run, a line each: what was found, what was wanted, what to do. Empty
    where the run is what was expected."""
    records = run.records
    return [
        *(f"the file isn't whole: {notice}" for notice in run.notices),
        *_check_backend(records, expected),
        *_check_origin(records, expected),
        *_check_devices(records, expected),
        *_check_timing(records),
        *_check_successes(records, expected),
        *(_check_failures(records) if expected.strict else []),
    ]


def print_check(name: str, expected: Expectation, folder: Path, *, as_json: bool = False) -> bool:
    """Print what :func:`check_run` finds, for a person or as JSON; whether it is nothing.

    ``name`` and errors as of :func:`trnbench.results.archive.read_run`.
    """
    run = read_run(name, folder)
    problems = check_run(run, expected)
    simulated = any(_is_simulated(record) for record in run.records)
    if as_json:
        found = {
            "path": str(run.path),
            "backend": expected.backend,
            "statuses": _count_statuses(run.records),
            "devices": sorted(_name_devices(run.records)),
            "simulated": simulated,
            "problems": problems,
        }
        print(json.dumps(found, indent=1))
        return not problems
    if simulated:
        print(SIMULATED_NOTICE)
    counts = ", ".join(f"{n} {status}" for status, n in _count_statuses(run.records).items())
    count = len(run.records)
    print(f"{run.path}: {count} case{'s' * (count != 1)}: {counts or 'none'}")
    print(f"devices: {', '.join(sorted(_name_devices(run.records))) or 'none named'}")
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)
    verdict = "NOT " if problems else ""
    strictly = ", no case failed" if expected.strict else ""
    print(
        f"check: {verdict}what was asked for: backend {expected.backend}, device "
        f"{expected.device or 'any'}, at least {expected.least_ok} OK{strictly}"
    )
    return not problems


def _check_backend(records: Sequence[Record], expected: Expectation) -> list[str]:
    others = _group(records, lambda r: r.case.backend)
    others.pop(expected.backend, None)
    return [
        f"backend '{backend}' in {_say(found, records)}; wanted '{expected.backend}' in every "
        f"record: select it with --backend {expected.backend}, in a folder of its own (--out)"
        for backend, found in others.items()
    ]


def _check_origin(records: Sequence[Record], expected: Expectation) -> list[str]:
    simulated = [record for record in records if _is_simulated(record)]
    published = [record for record in records if record.origin == "published"]
    problems = []
    if published:
        problems.append(
            f"published figures in {_say(published, records)}; wanted measurements: check the "
            "file of a run of your own"
        )
    if simulated and not expected.allow_simulated:
        problems.append(
            f"a stand-in for hardware answered in {_say(simulated, records)}; wanted a real "
            "device: run on one, or say --allow-simulated where the stand-in is meant"
        )
    elif simulated and len(simulated) < len(records):
        problems.append(
            f"a stand-in for hardware answered in {_say(simulated, records)} and a real device in "
            "the others; wanted one of the two: measure in a fresh folder"
        )
    return problems


def _check_devices(records: Sequence[Record], expected: Expectation) -> list[str]:
    # A case that failed before the device answered names none: its status says so already.
    answered = [r for r in records if r.status is Status.OK or r.summary is not None]
    nameless = [record for record in answered if record.device is None]
    problems = []
    if nameless:
        problems.append(
            f"no device is named in {_say(nameless, records)}; wanted the device that answered: "
            "this is a fault of the backend or of the file, run again with this trnbench"
        )
    named = [(record, record.device) for record in records if record.device is not None]
    if expected.device is not None:
        strangers = [r for r, device in named if not _is_called(device, expected.device)]
        for device, found in _group(strangers, lambda r: _describe(r.device)).items():
            problems.append(
                f"device '{device}' in {_say(found, records)}; wanted '{expected.device}': run "
                "on such a machine, or name this one with --device"
            )
        return problems
    unknown = [r for r, device in named if device.chip is None and not _is_simulated(r)]
    for reason, found in _group(unknown, lambda r: _chip_reason(r.device)).items():
        problems.append(
            f"the chip is unknown in {_say(found, records)} ({reason}); wanted one of the "
            "catalog: see what answers with trnbench doctor, or name the device with --device"
        )
    return problems


def _check_timing(records: Sequence[Record]) -> list[str]:
    fallen = [r for r in records if _ended(r, Status.FALLBACK_TO_CPU) or _fallbacks(r)]
    recompiled = [r for r in records if _ended(r, Status.RECOMPILED)]
    untimed = [r for r in records if r.status is Status.OK and r.summary is None]
    problems = []
    if untimed:
        problems.append(
            f"nothing was timed: it is a coverage run; {_say(untimed, records)} OK without a time; "
            "wanted a benchmark: measure with trnbench run"
        )
    if fallen:
        operators = sorted({name for record in fallen for name in _fallbacks(record)})
        named = f" ({', '.join(operators)})" if operators else ""
        problems.append(
            f"operators ran on the host{named} in {_say(fallen, records)}; wanted all of them on "
            "the device: leave these cases out, or use a release of the stack that has them"
        )
    if recompiled:
        problems.append(
            f"compiled again while it was timed: {_say(recompiled, records)}; wanted no "
            "compilation there: keep shapes fixed, or see the case with trnbench show"
        )
    return problems


def _check_successes(records: Sequence[Record], expected: Expectation) -> list[str]:
    count = sum(record.status is Status.OK for record in records)
    if count >= expected.least_ok:
        return []
    others = _count_statuses(record for record in records if record.status is not Status.OK)
    said = ", ".join(f"{n} {status}" for status, n in others.items()) or "no others"
    problem = (
        f"{count} of {len(records)} cases OK ({said}); wanted at least {expected.least_ok}: the "
        "reasons are in trnbench show, and trnbench doctor says what this machine lacks"
    )
    return [problem]


def _check_failures(records: Sequence[Record]) -> list[str]:
    """Those that are a problem in any run are left to :func:`_check_timing`."""
    failed = [r for r in records if r.status not in ACCEPTED | _NEVER_RIGHT]
    return [
        f"{status} in {_say(found, records)}; wanted OK, UNSUPPORTED or SKIPPED in every case "
        "(--strict): see the reasons with trnbench show, mend them or leave these cases out"
        for status, found in _group(failed, lambda r: str(r.status)).items()
    ]


def _ended(record: Record, status: Status) -> bool:
    """Whether the case, or one of its processes whatever the others did, ended so."""
    return record.status is status or str(status) in record.status_counts


def _fallbacks(record: Record) -> set[str]:
    return {name for process in record.processes for name in process.fallbacks}


def _is_simulated(record: Record) -> bool:
    return record.origin == "simulated" or (record.device is not None and record.device.simulated)


def _is_called(device: Device, name: str) -> bool:
    """Whether this is its chip, its type of instance, its name, or whole words of its name: "core"
    is none of a NeuronCore, nor is "trainium" one of a Trainium2."""
    wanted = name.strip().casefold()
    known = [device.chip, *(device.facts.get(fact) for fact in _NAMES)]
    words = rf"(?<!\w){re.escape(wanted)}(?!\w)"
    return bool(re.search(words, device.name.casefold())) or wanted in {
        text.casefold() for text in known if isinstance(text, str)
    }


def _describe(device: Device | None) -> str:
    if device is None:
        return "none"
    return f"{device.name}, {device.chip}" if device.chip else device.name


def _chip_reason(device: Device | None) -> str:
    return "no reason stored" if device is None else device.chip_reason or "no reason stored"


def _name_devices(records: Iterable[Record]) -> set[str]:
    return {_describe(record.device) for record in records if record.device is not None}


def _count_statuses(records: Iterable[Record]) -> dict[str, int]:
    return dict(Counter(str(record.status) for record in records).most_common())


def _group(records: Iterable[Record], key: Callable[[Record], str]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def _say(found: Sequence[Record], records: Sequence[Record]) -> str:
    """``2 of 50 cases: a[...], b[...]``: enough to find them."""
    names = [name_case(record) for record in found[:_NAMED_CASES]]
    more = f" and {len(found) - _NAMED_CASES} more" if len(found) > _NAMED_CASES else ""
    return f"{len(found)} of {len(records)} cases: {', '.join(names)}{more}"
