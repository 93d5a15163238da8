"""Roofline: the least time that a cost can take under a ceiling, and what binds it.

floor = the largest of (work / rate for each engine, bytes / bandwidth of the memory level that
holds the working set), plus the fixed cost of a call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from .cost import Cost

Ceiling = Literal["datasheet", "engine", "derived", "measured", "attained"]
Engine = Literal["tensor", "vector", "scalar"]
ENGINES: tuple[Engine, ...] = ("tensor", "vector", "scalar")


@dataclass(frozen=True, slots=True)
class Rate:
    """What an engine can do, in words as well; None with the reason where it is unknown.
    ``source``: the catalog's source of the figure, and its date."""

    flops_per_s: float | None
    words: str = ""
    reason: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """A level of memory. ``capacity_bytes`` None: without limit, the last one. ``source``: the
    catalog's source of the figure that is known, and its date."""

    name: str
    capacity_bytes: float | None
    bytes_per_s: float | None
    words: str = ""
    reason: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Roof:
    """What one torch device can do in one dtype, by one ceiling.

    ``memory`` runs from the smallest level to the last, which has no limit. ``fixed_s`` is
    paid once a call. ``retained_bytes`` is what may stay on the chip from one call to the next,
    so that the gate doesn't ask for it to be moved again (None: unknown, and then memory can't
    prove a time impossible). ``scratch`` is memory on the chip that each call fills anew: no
    level, but what operators hand on to one another needn't leave it where it fits.
    """

    ceiling: Ceiling
    engines: Mapping[Engine, Rate]
    memory: tuple[Level, ...]
    fixed_s: float = 0.0
    retained_bytes: float | None = None
    scratch: Level | None = None

    @property
    def gates(self) -> bool:
        """Whether a faster time is impossible rather than a better ceiling than the one known."""
        return self.ceiling not in ("attained", "measured")


@dataclass(frozen=True, slots=True)
class Ridge:
    """Where an engine's roof meets a memory level's: with fewer FLOP a byte than this the memory
    binds, with more the engine."""

    engine: Engine
    level: str
    flops_per_byte: float


@dataclass(frozen=True, slots=True)
class Floor:
    """The least time of one call.

    - ``seconds``: None where the roof is unknown; ``reason`` says why, and with a number it
      says which parts were left out.
    - ``bound``: the engine, the memory level's name, or "dispatch".
    - ``denominator``: the figure that binds, in words; ``rate``: as a number, in FLOP/s or B/s,
      None of a dispatch.
    - ``gate_seconds``: a time that no call can beat by this ceiling, even where ``seconds`` is
      None: of the known parts only, with no more bytes than must be carried whatever is fused
      or cached. None where nothing is known, and for an attained ceiling, which is no limit.
    - ``gate_denominator``: the figure behind it, in words.
    """

    seconds: float | None
    bound: str | None
    denominator: str
    reason: str
    gate_seconds: float | None
    gate_denominator: str = ""
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    bound: str
    seconds: float
    words: str
    rate: float | None


def floor(cost: Cost, roof: Roof, *, fused: bool = False) -> Floor:
    """The floor of one call of ``cost`` under ``roof``.

    ``fused``: the operators of the call are compiled together, so that only ``bytes_useful``
    have to be moved, not ``bytes_moved``.

    Null rules. An unknown matrix rate makes the floor None where there is matrix work. An
    unknown bandwidth makes it None unless there is matrix work: then the floor is that of the
    engines, and ``reason`` says so. An unknown vector or scalar rate is left out and named.
    """
    parts, unknown = _engine_parts(cost, roof)
    decisive = "tensor" in unknown
    moved = bytes_to_move(cost, fused=fused)
    if moved > 0:
        level = level_of(roof, cost.working_set_bytes)
        if level.bytes_per_s is None:
            unknown[level.name] = level.reason
            decisive = decisive or cost.flops == 0
        else:
            seconds = moved / level.bytes_per_s
            parts.append(_Part(level.name, seconds, level.words, level.bytes_per_s))
    if cost.collective_bytes > 0:
        unknown["fabric"] = "the bandwidth between devices isn't modelled"
        decisive = decisive or cost.flops == 0
    gate = _gate(cost, roof)
    gate_s, gate_words = (None, "") if gate is None else (gate.seconds, gate.words)
    reasons = [f"{name} unknown: {why}" for name, why in unknown.items()]
    reason = "; ".join([*reasons, *_handed_on(cost, roof, fused=fused)])
    if decisive or not parts:
        return Floor(None, None, "", reason or "the case states no work", gate_s, gate_words)
    binding = max(parts, key=lambda part: part.seconds)
    seconds = binding.seconds + roof.fixed_s
    if roof.fixed_s > binding.seconds:
        words = f"{roof.fixed_s * 1e6:.3g} us to dispatch a call"
        binding = _Part("dispatch", roof.fixed_s, words, None)
    return Floor(
        seconds, binding.bound, binding.words, reason, gate_s, gate_words, rate=binding.rate
    )


def bytes_to_move(cost: Cost, *, fused: bool = False) -> int:
    """What a call has to move: all that its operators read and write, or where they are compiled
    together only what isn't left between them."""
    return cost.bytes_useful if fused else cost.bytes_moved


def ridge_points(roof: Roof) -> list[Ridge]:
    """Every engine's with every memory level whose rates are both known."""
    return [
        Ridge(engine, level.name, rate.flops_per_s / level.bytes_per_s)
        for engine, rate in roof.engines.items()
        for level in roof.memory
        if rate.flops_per_s is not None and level.bytes_per_s is not None
    ]


def level_of(roof: Roof, working_set_bytes: int) -> Level:
    """The smallest level that holds the working set."""
    for level in roof.memory:
        if level.capacity_bytes is None or working_set_bytes <= level.capacity_bytes:
            return level
    raise ValueError(
        f"the {roof.ceiling} roof has no memory level for a working set of "
        f"{working_set_bytes} bytes; wanted a last level without limit"
    )


def expected_ratio(
    cost_a: Cost, roof_a: Roof, cost_b: Cost, roof_b: Roof, *, fused: bool = False
) -> float | None:
    """Time of B over time of A as the roofs expect it: 0.5 means that B takes half the time.
    None where one of the floors is unknown."""
    a = floor(cost_a, roof_a, fused=fused).seconds
    b = floor(cost_b, roof_b, fused=fused).seconds
    return None if a is None or b is None else b / a


def _engine_parts(cost: Cost, roof: Roof) -> tuple[list[_Part], dict[str, str]]:
    work = {"tensor": cost.flops, "vector": cost.vector_flops, "scalar": cost.scalar_flops}
    parts: list[_Part] = []
    unknown: dict[str, str] = {}
    for engine in ENGINES:
        if work[engine] == 0:
            continue
        rate = roof.engines[engine]
        if rate.flops_per_s is None:
            unknown[engine] = rate.reason
        else:
            seconds = work[engine] / rate.flops_per_s
            parts.append(_Part(engine, seconds, rate.words, rate.flops_per_s))
    return parts, unknown


def _handed_on(cost: Cost, roof: Roof, *, fused: bool) -> Iterator[str]:
    """What the floor makes of the bytes between operators, where the memory on the chip that
    each call fills anew says otherwise."""
    scratch, main = roof.scratch, roof.memory[-1].name
    if scratch is None or scratch.capacity_bytes is None or cost.bytes_moved <= cost.bytes_useful:
        return
    fits = cost.working_set_bytes <= scratch.capacity_bytes
    if fits and not fused:
        yield (
            f"{scratch.name}: the working set fits its {scratch.words}, so that what operators "
            f"hand on needn't go to {main} where they run as one graph: a time below this floor "
            "is possible"
        )
    elif fused and not fits:
        yield (
            f"{scratch.name}: the working set is more than its {scratch.words}, and what "
            f"operators hand on is left out as if all of it fitted"
        )


def _gate(cost: Cost, roof: Roof) -> _Part | None:
    # What was estimated is no ground for calling a time impossible.
    if not roof.gates or cost.estimated:
        return None
    parts = _engine_parts(cost, roof)[0]
    main = roof.memory[-1]
    retained, rate = roof.retained_bytes, main.bytes_per_s
    if retained is not None and rate is not None:
        # Fusion saves the bytes between operators, repetition within a call those that are
        # touched twice, and a cache what it kept of the call before.
        least = min(cost.bytes_moved, cost.bytes_useful, cost.working_set_bytes)
        seconds = max(0.0, least - retained) / rate
        parts.append(_Part(main.name, seconds, main.words, rate))
    longest = max(parts, key=lambda part: part.seconds, default=None)
    return longest if longest is not None and longest.seconds > 0 else None
