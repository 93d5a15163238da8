"""How much later does plain ``pytest`` start because the plugin is installed?

Adjacent pairs in random order, in an empty folder with one trivial test: once as a user would
call it, once with ``-p no:trnbench``. A difference within a pair cancels what the machine does
in the long run. Prints each pair, the median difference, and the median difference in CPU time, which
a busy machine disturbs less; exit status 1 where the wall-clock median is over the limit.

    python tests/experiments/startup.py --pairs 10 --limit-ms 30
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

PLUGIN = "trnbench"
TEST = "def test_nothing():\n    assert True\n"


def main() -> int:
    options = parse_options()
    if PLUGIN not in {point.name for point in metadata.entry_points(group="pytest11")}:
        print(f"no pytest plugin '{PLUGIN}' is installed here: there is nothing to compare")
        return 2
    order = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text(TEST, encoding="utf-8")
        # The first pair writes bytecode and fills the file cache: it is no measurement.
        time_pair(folder, order)
        differences_ms, cpu_differences_ms = [], []
        for number in range(1, options.pairs + 1):
            (with_s, with_cpu_s), (without_s, without_cpu_s) = time_pair(folder, order)
            differences_ms.append((with_s - without_s) * 1e3)
            cpu_differences_ms.append((with_cpu_s - without_cpu_s) * 1e3)
            print(
                f"pair {number:2d}: with {with_s * 1e3:7.1f} ms, without {without_s * 1e3:7.1f} ms, "
                f"difference {differences_ms[-1]:+7.1f} ms",
                flush=True,
            )
    median_ms = statistics.median(differences_ms)
    is_over = median_ms > options.limit_ms
    verdict = "over" if is_over else "within"
    print(
        f"median difference of {options.pairs} pairs: {median_ms:+.1f} ms "
        f"({verdict} the limit of {options.limit_ms:g} ms); "
        f"in CPU time {statistics.median(cpu_differences_ms):+.1f} ms"
    )
    return 1 if is_over else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=positive, default=10, help="pairs to time (10)")
    parser.add_argument(
        "--limit-ms", type=float, default=30.0, help="largest median difference allowed (30)"
    )
    parser.add_argument("--seed", type=int, default=None, help="of the order within the pairs")
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} given; wanted 1 or more")
    return number


Times = tuple[float, float]


def time_pair(folder: Path, order: random.Random) -> tuple[Times, Times]:
    """Wall and CPU seconds with and without the plugin, one after the other in random order."""
    found: dict[bool, Times] = {}
    for with_plugin in order.sample([True, False], 2):
        found[with_plugin] = time_pytest(folder, with_plugin=with_plugin)
    return found[True], found[False]


def time_pytest(folder: Path, *, with_plugin: bool) -> Times:
    """Wall and CPU seconds of one whole ``pytest`` of the folder."""
    without = () if with_plugin else ("-p", f"no:{PLUGIN}")
    # What the caller's own pytest is told must not reach this one.
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    cpu_s = cpu_of_children_s()
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *without],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    elapsed_s = time.perf_counter() - begin
    if done.returncode != 0:
        raise SystemExit(f"pytest failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    return elapsed_s, cpu_of_children_s() - cpu_s


def cpu_of_children_s() -> float:
    """CPU seconds, user and system, of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
