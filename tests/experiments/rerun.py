"""How far two runs of the same code on one machine agree.

Prints the share of cases whose 95 % intervals over processes overlap, and the median of the
differences. Two runs made one after the other say what a stored run is worth as a baseline:
python tests/experiments/rerun.py RUN_A RUN_B
"""

from __future__ import annotations

import argparse
import statistics
import sys

from trnbench.results.archive import read_run
from trnbench.results.record import Status
from trnbench.results.store import case_id


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--each", action="store_true", help="print every case too")
    options = parser.parse_args()
    a, b = (
        {case_id(r.case): r for r in read_run(name).records if r.status is Status.OK}
        for name in (options.a, options.b)
    )
    common = [key for key in a if key in b]
    if not common:
        print(f"no case is OK in both runs ({len(a)} and {len(b)} are OK)", file=sys.stderr)
        return 1
    overlaps, ratios = [], []
    for key in common:
        first, second = a[key].summary.sustained, b[key].summary.sustained
        overlap = None not in (first.low, second.low) and (
            first.low <= second.high and second.low <= first.high
        )
        overlaps.append(overlap)
        ratios.append(second.value / first.value)
        if options.each:
            case = a[key].case
            name = f"{case.workload}[{case.configuration}-{case.dtype}-{case.mode}]"
            print(f"{name:55} {ratios[-1]:7.3f} {'overlap' if overlap else 'apart'}")
    differences = [abs(ratio - 1) for ratio in ratios]
    print(
        f"{sum(overlaps)} of {len(common)} cases ({sum(overlaps) / len(common):.0%}) have "
        f"overlapping intervals; difference: median {statistics.median(differences):.1%}, "
        f"largest {max(differences):.1%}; median ratio {statistics.median(ratios):.3f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
