"""Claims held against the catalog: a verdict each, with its arithmetic, and where two disagree.

The rule, in this order:

- unverifiable: the catalog has no figure for it; or rests on what is only announced, or on the
  power or the price of a chip that no vendor's page gives. Then ``needs`` says what settles it.
- consistent: a reading at the level claimed agrees to the claim's own digits ("4 times" is 3.5 to
  4.5, 4.4 is 4.35 to 4.45). "At least" is that or more; "up to" is what the largest has, to the
  claim's digits.
- consistent_at_other_level: a reading at another level does, among those that are sold or built
  as one (a core or a torch device is shown and credits nothing); or none does to its digits, and
  one comes within 5 %.
- contradicted: everything else.

A reading is of one dtype on both sides, or of the fastest format of as many bits on each, which
is how vendors pair MXFP8 with FP8; it is named, and so are the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .claim import LEVELS, Claim
from .claim_quantities import Candidate, World, candidates
from .levels import Level
from .units import GB, GIB

Verdict = Literal["consistent", "consistent_at_other_level", "contradicted", "unverifiable"]
#: A reading this far off is still the one that was meant.
NEAR = 0.05
_EPSILON = 1e-9
_CREDITED = ("stack", "chip", "instance", "ultraserver", "cluster")
#: Quotients by what no vendor's page gives: a watt, a dollar.
_SOFT = ("peak_per_watt", "peak_per_dollar")
_SOFT_NEEDS = {
    "peak_per_watt": "power measured on both, at the same work",
    "peak_per_dollar": "a time measured on both, and what each costs its user",
}
_MOST_OTHERS = 5


@dataclass(frozen=True, slots=True)
class LevelReading:
    """The reading at a level that is nearest to the claim, in the claim's unit."""

    level: Level
    of: str
    pairing: str
    computed: float | str
    agrees: bool
    arithmetic: str
    sources: list[str]
    unconfirmed: bool
    projected: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another claim that can't be true beside this one, and why."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a claim. ``computed`` is the nearest reading at the level claimed, in the
    claim's ``unit``; None where there is none there. ``levels`` has the nearest at each level.
    ``measure`` are workloads whose times on both of ``measure_on`` would say more."""

    id: str
    document: str
    statement: str
    subject: str
    baseline: str
    verdict: Verdict
    level: Level
    claimed: float | str | list[float]
    unit: str
    computed: float | str | None
    arithmetic: str
    needs: str
    measure: list[str]
    measure_on: list[str]
    levels: list[LevelReading] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The judgement as JSON would hold it."""
        return asdict(self)


def judge_claims(claims: Sequence[Claim], world: World) -> list[Judgement]:
    """A judgement each, in the order of the claims."""
    decided = [_decided(claim, candidates(claim, world)) for claim in claims]
    return [
        _judge(one, [*_conflicts(one.claim, claims), *_other_sizes(one, decided)])
        for one in decided
    ]


@dataclass(frozen=True, slots=True)
class _Decided:
    claim: Claim
    found: list[Candidate]
    verdict: Verdict
    chosen: Candidate | None


def _decided(claim: Claim, found: list[Candidate]) -> _Decided:
    return _Decided(claim, found, *_decide(claim, found))


def _judge(decided: _Decided, conflicts: list[Conflict]) -> Judgement:
    claim, found = decided.claim, decided.found
    verdict, chosen = decided.verdict, decided.chosen
    nearest = [
        min(own, key=lambda one: _distance(claim, one))
        for level in LEVELS
        if (own := [one for one in found if one.level == level])
    ]
    at_level = next(
        (one for level in (claim.level, claim.per) for one in nearest if one.level == level), None
    )
    needs = claim.needs
    if verdict == "unverifiable" and not needs:
        needs = _what_settles(claim, chosen)
    return Judgement(
        id=claim.id,
        document=claim.document,
        statement=claim.statement,
        subject=claim.subject,
        baseline=claim.baseline,
        verdict=verdict,
        level=claim.level,
        claimed=claim.claimed,
        unit=claim.unit,
        computed=None if at_level is None else _in_unit(claim, at_level),
        arithmetic=_sentence(claim, verdict, chosen, at_level, found, needs),
        needs=needs,
        measure=list(claim.measure),
        measure_on=_devices(claim) if claim.measure else [],
        levels=[_reading(claim, one) for one in nearest],
        conflicts=conflicts,
    )


def _devices(claim: Claim) -> list[str]:
    """The chips to measure on, or what is claimed of where it names none."""
    subject = "/".join(claim.chips) or claim.subject
    if claim.kind == "absolute" and not claim.baseline:
        return [subject]
    return [subject, "/".join(claim.baseline_chips) or claim.baseline or "a chip of your choice"]


def _decide(claim: Claim, found: Sequence[Candidate]) -> tuple[Verdict, Candidate | None]:
    """The verdict, and the reading that it rests on."""
    if not found:
        return "unverifiable", None
    here = [one for one in found if one.level == claim.per]
    elsewhere = [one for one in found if one.level != claim.per and one.level in _CREDITED]
    near = sorted(
        here if claim.comparator == "up_to" else (*here, *elsewhere),
        key=lambda one: _distance(claim, one),
    )
    nearest = near[0] if near else found[0]
    agreeing = [one for one in here if _agrees(claim, one, here)]
    others = [
        one
        for one in elsewhere
        if _agrees(claim, one, _at(found, one.level)) and _is_meant(claim, one)
    ]
    chosen = next(iter(sorted(agreeing, key=lambda one: _distance(claim, one))), None)
    other = next(iter(sorted(others, key=lambda one: _distance(claim, one))), None)
    rests_on = chosen or other or nearest
    if rests_on.projected or rests_on.quantity in _SOFT:
        return "unverifiable", rests_on
    if chosen is not None:
        return "consistent", chosen
    if other is not None:
        return "consistent_at_other_level", other
    if claim.comparator == "equal" and _distance(claim, nearest) <= math.log1p(NEAR):
        return "consistent_at_other_level", nearest
    return "contradicted", nearest


def _is_meant(claim: Claim, one: Candidate) -> bool:
    """Whether a reading of another level may be what was claimed. Of a figure "at least" so large
    a whole system has more in any case, which bears out nothing; only one that is near is meant."""
    if claim.comparator != "at_least" or claim.kind == "ratio":
        return True
    return _distance(claim, one) <= math.log1p(NEAR)


def _at(found: Sequence[Candidate], level: Level) -> list[Candidate]:
    return [one for one in found if one.level == level]


def _agrees(claim: Claim, one: Candidate, beside: Sequence[Candidate]) -> bool:
    if claim.value is None:
        return _agrees_in_text(claim.text, one.text)
    # "Up to" is open to below for what is measured, but of specifications the largest is meant.
    span = claim.bounds if claim.comparator == "at_least" else claim.si
    assert span is not None  # noqa: S101 - a value has one
    if claim.comparator == "up_to" and not math.isclose(one.value, _largest(claim, beside)):
        return False
    low, high = span
    return any(
        low * (1 - _EPSILON) <= value <= high * (1 + _EPSILON) for value in _values(claim, one)
    )


def _largest(claim: Claim, beside: Sequence[Candidate]) -> float:
    """The reading that "up to" means; of decreases the largest leaves least."""
    values = [one.value for one in beside]
    return min(values) if claim.decreases else max(values)


def _values(claim: Claim, one: Candidate) -> list[float]:
    """A reading, and where GB is claimed of what a page prints in GiB, that number as it
    stands: vendors write the one for the other."""
    values = [one.value]
    if one.unit == "B" and claim.unit in ("GB", "TB") and "GiB" in one.arithmetic:
        values.append(one.value * GB / GIB)
    return values


def _agrees_in_text(claimed: str, found: str) -> bool:
    """Whether a text begins with what is claimed, or lies between the two ends ``A..B``."""
    low, dots, high = claimed.partition("..")
    if not found:
        return False
    if not dots:
        return found.startswith(claimed)
    return low <= found[: len(low)] and found[: len(high)] <= high


def _distance(claim: Claim, one: Candidate) -> float:
    """How far off a reading is, as the logarithm of the factor."""
    span = claim.si
    if span is None:
        return 0.0 if _agrees_in_text(claim.text, one.text) else math.inf
    if claim.comparator == "up_to":
        # Of several systems the largest is meant.
        return one.value if claim.decreases else -one.value
    aim = claim.scale(claim.value or 0.0) if claim.high is None else math.sqrt(span[0] * span[1])
    if one.value <= 0 or aim <= 0:
        return math.inf
    return abs(math.log(one.value / aim))


def _in_unit(claim: Claim, one: Candidate) -> float | str:
    if one.text:
        return one.text
    if claim.unit == "%" and claim.kind == "ratio":
        return (one.value - 1) * 100
    return one.value / claim.scale(1.0)


def _reading(claim: Claim, one: Candidate) -> LevelReading:
    origins = [origin for side in one.sides for origin in side.origins]
    return LevelReading(
        one.level,
        one.of,
        one.pairing,
        _in_unit(claim, one),
        _agrees(claim, one, [one]),
        one.arithmetic,
        list(dict.fromkeys(origin.source for origin in origins)),
        one.unconfirmed,
        one.projected,
    )


def _what_settles(claim: Claim, chosen: Candidate | None) -> str:
    if chosen is None:
        return "a source: the catalog has no figure for it"
    if chosen.projected:
        return "the chip itself: what is announced is no figure of it"
    return _SOFT_NEEDS.get(chosen.quantity, f"a figure of {claim.subject}")


def _sentence(
    claim: Claim,
    verdict: Verdict,
    chosen: Candidate | None,
    at_level: Candidate | None,
    found: Sequence[Candidate],
    needs: str,
) -> str:
    """One sentence: the level claimed first, then the one that the verdict rests on."""
    if chosen is None:
        return f"no arithmetic settles it; wanted: {needs}"
    shown = [one for one in (at_level, chosen) if one is not None]
    parts = [_say(one) for one in dict.fromkeys(shown)]
    others = {
        f"{one.pairing} {one.value:.3g}": None
        for one in found
        if claim.kind == "ratio"
        and at_level is not None
        and (one.level, one.of) == (at_level.level, at_level.of)
        and one.pairing not in ("", at_level.pairing)
    }
    if others:
        parts.insert(1, f"other dtypes there: {', '.join(list(others)[:_MOST_OTHERS])}")
    if verdict == "consistent_at_other_level" and not any(
        _agrees(claim, one, _at(found, one.level)) for one in found if one.level in _CREDITED
    ):
        off = math.expm1(_distance(claim, chosen))
        parts.append(f"no level gives {claim.words} to its digits, this one is {off:.1%} off")
    if verdict == "unverifiable":
        parts.append(f"wanted: {needs}")
    if any(len(_values(claim, one)) > 1 for one in shown) and verdict == "consistent":
        gigabytes = chosen.value / GB
        parts.append(f"the page's unit is GiB: {gigabytes:.4g} GB")
    if any(one.unconfirmed for one in shown):
        parts.append("a part of it has no vendor's page behind it")
    return "; ".join(parts)


def _say(one: Candidate) -> str:
    pairing = f", {one.pairing}" if one.pairing else ""
    return f"{one.level} ({one.of}{pairing}): {one.arithmetic}"


def _conflicts(claim: Claim, claims: Sequence[Claim]) -> list[Conflict]:
    """The claims of the same quantity of the same silicon at the same level whose values can't
    both be true."""
    return [
        Conflict(other.id, f"{other.document or other.id} says {other.words}, of the same")
        for other in claims
        if other.id != claim.id and _is_of_the_same(claim, other) and _exclude(claim, other)
    ]


def _other_sizes(one: _Decided, decided: Sequence[_Decided]) -> list[Conflict]:
    """Claims of how many chips such a system has that this one can't be true beside: it rests on
    a system of another size."""
    if one.chosen is None or one.claim.kind != "ratio" or not one.chosen.sides:
        return []
    if one.verdict not in ("consistent", "consistent_at_other_level"):
        return []
    chips, level = one.chosen.sides[0].chips, one.chosen.level
    return [
        Conflict(
            other.claim.id,
            f"{other.claim.document or other.claim.id} says {other.claim.words} for such an "
            f"{level}, and this rests on {chips:,.0f}",
        )
        for other in decided
        if chips is not None
        and other.claim.quantities == ("chips",)
        and (other.claim.kind, other.claim.level) == ("absolute", level)
        and other.claim.chips == one.claim.chips
        and other.claim.value != chips
    ]


def _is_of_the_same(a: Claim, b: Claim) -> bool:
    return (
        bool(set(a.quantities) & set(b.quantities))
        and (a.kind, a.per, a.factor, a.since) == (b.kind, b.per, b.factor, b.since)
        and set(a.chips) == set(b.chips)
        and set(a.baseline_chips) == set(b.baseline_chips)
        and (not a.systems or not b.systems or bool(set(a.systems) & set(b.systems)))
        and (not a.dtypes or not b.dtypes or bool(set(a.dtypes) & set(b.dtypes)))
    )


def _exclude(a: Claim, b: Claim) -> bool:
    if a.value is None or b.value is None:
        return a.value is b.value and not (a.text.startswith(b.text) or b.text.startswith(a.text))
    (a_low, a_high), (b_low, b_high) = _span(a), _span(b)
    return a_high < b_low or b_high < a_low


def _span(claim: Claim) -> tuple[float, float]:
    span = claim.si
    assert span is not None  # noqa: S101 - a value has one
    bounds = claim.bounds
    return span if claim.comparator != "at_least" or bounds is None else bounds
