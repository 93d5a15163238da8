"""Two runs side by side: what became of each case, how sure that is, and what it went to.

``compare`` decides for all cases at once, on columns; rows for people and programs are made only
of those that are asked for. Verdicts and their rules are in ``verdict``, the pairing of cases in
``alignment``, and what several runs of a side are worth in ``replicates``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .difference import DiffRow
from .difference_rows import make_rows
from .environment_changes import environment_changes
from .geometric_means import GeometricMean, geometric_means
from .origin import SIMULATED_NOTICE, refuse_mixed_frames
from .pairing import Pairing, pair
from .quantity import format_ratio
from .replicates import fold_runs
from .verdict import Rules, Verdict

if TYPE_CHECKING:
    import pandas as pd

#: Places of the verdicts, in the order in which rows stand; a shared status comes last.
_PLACES = {str(verdict): place for place, verdict in enumerate(Verdict)}
#: What a class of cases has in common.
_CLASS_COLUMNS = ("workload", "phase", "dtype")
#: Verdicts that a headline names, and what it calls them.
_SAID = {
    Verdict.NEWLY_FAILING: "newly failing",
    Verdict.SLOWER: "slower",
    Verdict.FASTER: "faster",
    Verdict.UNPAIRED: "that two stored runs can't decide",
    Verdict.NEWLY_WORKING: "newly working",
    Verdict.NOT_COMPARABLE: "not comparable",
    Verdict.UNDECIDED: "undecided",
    Verdict.SAME: "the same",
}

MEASURE_AGAIN = (
    "both sides are runs of one kind of machine at different times: what changed in between isn't "
    "in these intervals. A difference below a factor of {factor:g} is UNPAIRED and no verdict; "
    "several runs of each side, or both measured again in turn, decide it"
)
LEFT_ASIDE = (
    "left aside: {} cases of A and {} of B on a kind of device that the other side hasn't; the same "
    "cases are compared on one that both have"
)
TRUSTED = (
    "both sides are runs of one kind of machine at different times, and were taken at their "
    "word: a verdict here may be of the machine and not of the change"
)


@dataclass(frozen=True)
class Comparison:
    """What two runs say when held against each other; ``a`` and ``b`` are their names."""

    a: str
    b: str
    rules: Rules
    pairing: Pairing
    environment_changes: list[str]
    warnings: list[str]
    prices: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def verdicts(self) -> NDArray[np.object_]:
        """One a row, and a row is a pair or a case of one side alone: of the pairs, of A's other
        cases, of B's other cases."""
        pairing = self.pairing
        return np.concatenate(
            [
                pairing.verdicts,
                np.full(pairing.only_a.size, Verdict.MISSING, dtype=object),
                np.full(pairing.only_b.size, Verdict.NEW, dtype=object),
            ]
        )

    @cached_property
    def _names(self) -> NDArray[np.str_]:
        return self.verdicts.astype("str")

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Numbers of the rows, what matters first: by verdict, then by the size of the change."""
        alone = self.verdicts.size - self.pairing.decision.ratio.size
        ratios = np.append(self.pairing.decision.ratio, np.full(alone, np.nan))
        with np.errstate(divide="ignore", invalid="ignore"):
            size = np.nan_to_num(np.abs(np.log(ratios)), nan=-1.0)
        names, codes = np.unique(self._names, return_inverse=True)
        places = np.array([_PLACES.get(name, len(_PLACES)) for name in names], dtype=np.int64)
        return np.lexsort((-size, places[codes] if codes.size else codes))

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many rows have which verdict, in the order of the rows."""
        found = Counter(map(str, self.verdicts))
        return dict(sorted(found.items(), key=lambda item: _PLACES.get(item[0], len(_PLACES))))

    def rows(self, most: int | None = None) -> list[DiffRow]:
        """The rows, what matters first; no more than ``most``."""
        return make_rows(self, self.order[:most])

    def rows_of(self, verdicts: Sequence[str], most: int | None = None) -> list[DiffRow]:
        """Those of some verdicts, what matters first; no more than ``most``."""
        chosen = np.isin(self._names, list(map(str, verdicts)))
        return make_rows(self, self.order[chosen[self.order]][:most])

    def rows_with(self, verdicts: Sequence[str]) -> list[DiffRow]:
        """Those of some verdicts in either regime: where queued calls became faster and single
        ones slower, the row is both."""
        decision = self.pairing.decision
        other = np.isfinite(decision.other_ratio) & np.isin(
            decision.other_verdicts.astype("str"), list(map(str, verdicts))
        )
        chosen = np.isin(self._names, list(map(str, verdicts)))
        chosen[: other.size] |= other
        return make_rows(self, self.order[chosen[self.order]])

    def rows_of_status(self, statuses: Sequence[str]) -> list[DiffRow]:
        """Those of cases that ended so in B, in both runs or in B alone."""
        pairing = self.pairing
        status = pairing.b["status"].astype("str").to_numpy(dtype=object)
        ended = np.concatenate(
            [
                status[pairing.in_b],
                np.full(pairing.only_a.size, "", dtype=object),
                status[pairing.only_b],
            ]
        )
        chosen = np.isin(ended.astype("str"), list(map(str, statuses)))
        return make_rows(self, self.order[chosen[self.order]])

    @cached_property
    def geometric_means(self) -> list[GeometricMean]:
        """B over A, of all cases with a ratio and of each class of them."""
        import pandas as pd

        pairing = self.pairing
        taken = pairing.a.iloc[pairing.in_a][list(_CLASS_COLUMNS)].astype(str)
        names = taken["workload"] + " " + taken["dtype"]
        training = taken["phase"].to_numpy() != "forward"
        names = names.where(~training, names + " " + taken["phase"])
        codes, kinds = pd.factorize(names, sort=True)
        return geometric_means(
            list(kinds), codes, pairing.decision.ratio, pairing.expected["specification"]
        )

    @property
    def headline(self) -> str:
        """One sentence: how many cases became what, and the geometric mean of all."""
        counts = self.counts
        # A case that one side skipped is in both files, and there is nothing to compare.
        alone = [counts.get(verdict, 0) for verdict in (Verdict.MISSING, Verdict.NEW)]
        common = self.verdicts.size - sum(alone)
        said = [f"{counts[v]} {words}" for v, words in _SAID.items() if counts.get(v)]
        shared = sum(count for name, count in counts.items() if name not in _PLACES)
        said += [f"{shared} without a result in either"] if shared else []
        line = f"{common} common case{'' if common == 1 else 's'}"
        line += f": {', '.join(said)}" if said else ""
        for count, where in zip(alone, "AB", strict=True):
            line += f"; {count} only measured in {where}" if count else ""
        for mean in self.geometric_means[:1]:
            line += f"; B takes {format_ratio(mean.ratio)} times as long in the geometric mean"
            if mean.low is not None and mean.high is not None:
                line += f" ({format_ratio(mean.low)} to {format_ratio(mean.high)})"
            if mean.expected is not None and abs(mean.expected - 1) > 0.001:
                line += f", by specification {format_ratio(mean.expected)}"
        return line


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    rules: Rules = Rules(),  # noqa: B008 - immutable
    *,
    leave_out: tuple[str, ...] = (),
    names: tuple[str, str] = ("", ""),
    prices: Mapping[str, float] | None = None,
) -> Comparison:
    """Hold frame ``b`` against frame ``a`` (see ``frame.load_files``).

    Cases are the same by their typed columns; see ``alignment.align`` and its ``leave_out``. A
    frame of several runs is folded to one row a case, and the run becomes the unit of
    replication. ``prices`` are US dollars an hour by the name of an instance, a chip or a device,
    before those of the catalog. Raises ``OriginError`` where simulated figures would be compared
    with others.
    """
    refuse_mixed_frames(a, b)
    changes = environment_changes(a, b)
    folded = fold_runs(a, leave_out, judged=False), fold_runs(b, leave_out)
    pairing = pair(*folded, rules, leave_out)
    named = [name or describe_run(frame) for name, frame in zip(names, (a, b), strict=True)]
    warnings = _warnings(a, b, pairing, rules)
    return Comparison(named[0], named[1], rules, pairing, changes, warnings, prices or {})


def describe_run(frame: pd.DataFrame) -> str:
    """A run in a line: id, label, origin, time, device, cases."""
    if not len(frame):
        return "no records"
    runs, labels, origins, devices = (
        list(map(str, frame[name].dropna().unique()))
        for name in ("run", "label", "origin", "device")
    )
    labels = [label for label in labels if label]
    said = runs[0] if len(runs) == 1 else f"{len(runs)} runs, {min(runs)} to {max(runs)}"
    if len(labels) == 1:
        said += f" '{labels[0]}'"
    time = frame["time"].min()
    when = f"{time:%Y-%m-%d %H:%M} UTC" if time == time else "time unknown"  # noqa: PLR0124
    parts = [said, " and ".join(origins), when]
    parts += [" and ".join(devices)] if devices else []
    cases = f"{len(frame)} case{'' if len(frame) == 1 else 's'}"
    return f"{', '.join(parts)}, {cases}"


def _warnings(a: pd.DataFrame, b: pd.DataFrame, pairing: Pairing, rules: Rules) -> list[str]:
    """What a reader must know of the two runs as wholes before looking at a ratio."""
    origins = [sorted(map(str, frame["origin"].dropna().unique())) for frame in (a, b)]
    found = [SIMULATED_NOTICE] if "simulated" in origins[0] + origins[1] else []
    if (pairing.beside & pairing.compared).any():
        trusted = rules.between_runs <= 1
        found.append(TRUSTED if trusted else MEASURE_AGAIN.format(factor=rules.between_runs))
    if any(aside := pairing.aside):
        found.append(LEFT_ASIDE.format(*aside))
    if len(a) and len(b) and origins[0] != origins[1]:
        found.append(
            f"the origins differ: A is {' and '.join(origins[0])}, B is {' and '.join(origins[1])}"
        )
    return found
