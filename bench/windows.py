"""From the readings of a sensor to its figure over a window of time: the rules.

Readings are of periods of about a second, and of the moments at which a case ended; cases may
be shorter. A reading counts where at least half of its period lies in the window. Where none
does (a case inside one long period), all count that the window meets, and the figure is then
partly of what went on around the case. ``samples`` says how many readings counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from ..backends.sensors import Fold, Reading, SensorKind
from ..results.record import Sensor

#: The first and the last period of a busy run are busy in part only, so that a steady figure
#: needs one between them.
LEAST_BUSY = 3


def figure_of(
    kind: SensorKind, readings: Sequence[Reading], begin_s: float, end_s: float
) -> Sensor:
    """What the sensor said between these moments; without a figure where there is no honest
    one, and then with the reason. ``readings`` are in the order of time."""
    if end_s <= begin_s:
        return Sensor(unit=kind.unit, reason="nothing was run")
    return _FOLDS[kind.fold](kind, readings, begin_s, end_s)


def _average(kind: SensorKind, readings: Sequence[Reading], begin_s: float, end_s: float) -> Sensor:
    counted = _counted(readings, begin_s, end_s)
    weights = [_shared(reading, begin_s, end_s) for reading in counted]
    return _sensor(kind, counted, weights, _no_reading(end_s - begin_s))


def _steady(kind: SensorKind, readings: Sequence[Reading], begin_s: float, end_s: float) -> Sensor:
    counted = _counted(readings, begin_s, end_s)
    if not counted:
        return Sensor(unit=kind.unit, reason=_no_reading(end_s - begin_s))
    run = longest_busy_run(counted)
    inside = run[1:-1] if len(run) >= LEAST_BUSY else []
    weights = [reading.end_s - reading.begin_s for reading in inside]
    reason = (
        f"{len(run)} busy periods in {end_s - begin_s:.3g} s, of which the first and the last "
        f"are busy in part only; a steady figure needs {LEAST_BUSY} or more"
    )
    return _sensor(kind, inside, weights, reason)


def longest_busy_run(readings: Sequence[Reading]) -> list[Reading]:
    """The readings in a row that aren't zero, the longest such row, the first of equals."""
    longest: list[Reading] = []
    run: list[Reading] = []
    for reading in readings:
        run = [*run, reading] if reading.mean > 0 else []
        if len(run) > len(longest):
            longest = run
    return longest


def _rise(kind: SensorKind, readings: Sequence[Reading], begin_s: float, end_s: float) -> Sensor:
    """From the last reading before the window to the first one after it: what happened in
    between can't be placed nearer."""
    before = [i for i, reading in enumerate(readings) if reading.end_s <= begin_s]
    after = [i for i, reading in enumerate(readings) if reading.end_s >= end_s]
    first = before[-1] if before else 0
    last = after[0] if after else len(readings) - 1
    counted = readings[first : last + 1]
    if len(counted) < 2:
        reason = f"a rise needs two readings; there are {len(counted)}"
        return Sensor(unit=kind.unit, reason=reason)
    values = [reading.mean for reading in counted]
    if any(later < earlier for earlier, later in itertools.pairwise(values)):
        return Sensor(unit=kind.unit, reason="the counter fell: somebody cleared it")
    if kind.stuck_at is not None and set(values) == {kind.stuck_at}:
        reason = f"the counter stands at {kind.stuck_at:g}, where some drivers leave it always"
        return Sensor(unit=kind.unit, reason=reason)
    rise = values[-1] - values[0]
    return Sensor(unit=kind.unit, mean=rise, least=rise, most=rise, samples=len(counted))


def _whole(kind: SensorKind, readings: Sequence[Reading], begin_s: float, end_s: float) -> Sensor:
    inside = [r for r in readings if begin_s <= r.begin_s and r.end_s <= end_s]
    length_s = max((r.end_s - r.begin_s for r in readings), default=None)
    reason = (
        "no reading yet"
        if length_s is None
        else f"a reading is of {length_s:.3g} s, and none of them lies within these "
        f"{end_s - begin_s:.3g} s"
    )
    return _sensor(kind, inside, [1.0] * len(inside), reason)


_FOLDS: dict[Fold, Callable[[SensorKind, Sequence[Reading], float, float], Sensor]] = {
    Fold.AVERAGE: _average,
    Fold.STEADY: _steady,
    Fold.RISE: _rise,
    Fold.WHOLE: _whole,
}


def _counted(readings: Sequence[Reading], begin_s: float, end_s: float) -> list[Reading]:
    met = [reading for reading in readings if _shared(reading, begin_s, end_s) > 0]
    mostly = [r for r in met if _shared(r, begin_s, end_s) >= 0.5 * (r.end_s - r.begin_s)]
    return mostly or met


def _shared(reading: Reading, begin_s: float, end_s: float) -> float:
    """Seconds of the reading's period that lie in the window."""
    return min(reading.end_s, end_s) - max(reading.begin_s, begin_s)


def _sensor(
    kind: SensorKind, readings: Sequence[Reading], weights: Sequence[float], reason: str
) -> Sensor:
    if not readings:
        return Sensor(unit=kind.unit, reason=reason)
    total = sum(r.mean * weight for r, weight in zip(readings, weights, strict=True))
    least = min(reading.least for reading in readings)
    most = max(reading.most for reading in readings)
    return Sensor(
        unit=kind.unit,
        # Rounding may carry the mean of equal readings beyond them.
        mean=min(max(total / sum(weights), least), most),
        least=least,
        most=most,
        samples=len(readings),
    )


def _no_reading(length_s: float) -> str:
    return f"no reading was made in these {length_s:.3g} s"
