"""What the time of a call went to: which of its parts changed, and what else did beside it.

A part is named as the cause where it explains at least half of the change of the call's time.
Where the device has a clock, a call is the device's time and the gap around it; elsewhere an
isolated call is its fixed cost (dispatch, launch, synchronisation) and the slope of one more
queued call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .difference import Part, Regime
from .quantity import format_bytes, format_frequency, format_seconds

Figures = Mapping[str, Any]

#: A part that explains less than this of the change isn't its cause.
_EXPLAINS = 0.5
#: Compilation and memory are single figures without an interval: they are said from here on.
_COMPILE_RATIO, _COMPILE_S = 1.5, 1.0
_MEMORY_RATIO, _MEMORY_BYTES = 1.5, 64 * 2**20
#: A clock that explains a slower call is at least so much lower.
_CLOCK_RATIO = 1.02
#: What says that a side's own time is in doubt.
_DOUBTFUL = ("THROTTLED", "CONTENDED", "PREEMPTED", "PROCESS_SPREAD", "DRIFT", "UNSTEADY_PROCESS")
#: A change of this part and less is called none.
_UNCHANGED = 0.05


def find_parts(a: Figures, b: Figures, regime: Regime) -> list[Part]:
    """What is known of a call's parts, of what came before it, and of its memory."""
    parts = _call_parts(a, b, regime)
    parts += [
        Part(name, "s", a[column], b[column])
        for name, column in (
            ("compile, cold", "compile_cold_s"),
            ("compile, warm", "compile_warm_s"),
            ("first call", "first_call_s"),
        )
    ]
    parts.append(Part("memory", "B", a["peak_memory_bytes"], b["peak_memory_bytes"]))
    return [part for part in parts if part.a is not None or part.b is not None]


def find_cause(a: Figures, b: Figures, regime: Regime, changes: Sequence[str]) -> str:
    """The part that most of the change went to, and what changed beside it; "" where nothing
    is known. ``changes`` are those of the environment that may have done it."""
    said = [_part_cause(a, b, regime), *_beside(a, b), *changes[:2]]
    return "; ".join(one for one in said if one)


def find_notes(a: Figures, b: Figures) -> list[str]:
    """What a reader must know of a pair beyond its times: flags, compilation, memory."""
    notes = [f"A: {flag}" for flag in a["flags"].split()]
    notes += [f"B: {flag}" for flag in b["flags"].split()]
    for name in ("cold", "warm"):
        times = a[f"compile_{name}_s"], b[f"compile_{name}_s"]
        if _moved(*times, _COMPILE_RATIO, _COMPILE_S):
            notes.append(f"compile, {name}: {_arrow(times, format_seconds)}")
    memory = a["peak_memory_bytes"], b["peak_memory_bytes"]
    if _moved(*memory, _MEMORY_RATIO, _MEMORY_BYTES):
        notes.append(f"memory: {_arrow(memory, format_bytes)}")
    return notes


def _call_parts(a: Figures, b: Figures, regime: Regime) -> list[Part]:
    parts = [Part(f"call, {regime}", "s", a[f"{regime}_s"], b[f"{regime}_s"])]
    if a["device_s"] is not None and b["device_s"] is not None:
        parts.append(Part("device time", "s", a["device_s"], b["device_s"]))
        parts.append(Part("launch gap", "s", _gap(a, regime), _gap(b, regime)))
    elif regime == "isolated" or a["sustained_s"] is None:
        parts.append(Part("fixed cost of a call", "s", a["fixed_cost_s"], b["fixed_cost_s"]))
        parts.append(Part("one more queued call", "s", a["slope_s"], b["slope_s"]))
    return parts


def _gap(side: Figures, regime: Regime) -> float | None:
    time_s, device_s = side[f"{regime}_s"], side["device_s"]
    return None if time_s is None or device_s is None else max(time_s - device_s, 0.0)


def _part_cause(a: Figures, b: Figures, regime: Regime) -> str:
    call, *inner = _call_parts(a, b, regime)
    if call.a is None or call.b is None:
        return ""
    whole = call.b - call.a
    known = [
        (part.name, part.a, part.b) for part in inner if part.a is not None and part.b is not None
    ]
    # The part that moved most in the direction in which the whole did.
    found = max(known, key=lambda one: (one[2] - one[1]) * whole, default=None)
    if found is None or whole == 0 or (found[2] - found[1]) / whole < _EXPLAINS:
        return f"time of a call {_arrow((call.a, call.b), format_seconds)}"
    said = f"{found[0]} {_arrow(found[1:], format_seconds)}"
    for name, first, second in known:
        if name != found[0] and abs(second - first) <= _UNCHANGED * first:
            said += f", {name} unchanged ({format_seconds(second)})"
    return said


def _beside(a: Figures, b: Figures) -> list[str]:
    said = []
    fallbacks = [set((side["fallbacks"] or "").split()) for side in (a, b)]
    for more, words in (
        (fallbacks[1] - fallbacks[0], "newly falls back to the CPU"),
        (fallbacks[0] - fallbacks[1], "no longer falls back to the CPU"),
    ):
        if more:
            said.append(f"{', '.join(sorted(more))} {words}")
    executed = a["executed_dtype"], b["executed_dtype"]
    if None not in executed and executed[0] != executed[1]:
        said.append(f"executed in {executed[0]} -> {executed[1]}")
    for name, column in (("graphs", "graphs"), ("graph breaks", "graph_breaks")):
        counts = a[column], b[column]
        if None not in counts and counts[0] != counts[1]:
            said.append(f"{name} {counts[0]} -> {counts[1]}")
    clocks = a["clock_hz"], b["clock_hz"]
    if _moved(*clocks, _CLOCK_RATIO, 0.0):
        said.append(f"clock {_arrow(clocks, format_frequency)}")
    if a["threads"] is not None and b["threads"] is not None and a["threads"] != b["threads"]:
        said.append(f"threads {a['threads']} -> {b['threads']}")
    for side, other, name in ((a, b, "A"), (b, a, "B")):
        flags = [f for f in side["flags"].split() if f in _DOUBTFUL]
        only = [f for f in flags if f not in other["flags"].split()]
        if only:
            said.append(f"{name} is {', '.join(only)}")
    return said


def _moved(a: float | None, b: float | None, ratio: float, least: float) -> bool:
    """Whether two figures differ by this factor and by this much."""
    if not a or not b:
        return False
    return max(a / b, b / a) >= ratio and abs(a - b) >= least


def _arrow(values: Sequence[float | None], form: Callable[[float | None], str]) -> str:
    return " -> ".join(map(form, values))
