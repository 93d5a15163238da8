"""``make fuzz``: both ways of fuzzing on every target, for as long as is asked.

Half of the time goes to the properties of ``test_loaders.py`` with new inputs each time, the
rest to libFuzzer. Prints what each target has been given and what its code covers; fails, and
names the files, where one raised what isn't documented. Give such a file to a target again with

    python tests/fuzz/fuzz_run.py --again FILE
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import fuzz_inputs
import fuzz_seeds
from fuzz_findings import Findings
from fuzz_targets import TARGETS, check
from hypothesis import HealthCheck, Phase, given, seed, settings

HERE = Path(__file__).parent
#: Of the time; the two ways find different things, and libFuzzer needs longer to get going.
_PROPERTIES_SHARE = 1 / 2
#: What reads is a hundred times as fast as what draws a page of it.
_SHARES = {"compare": 3.0, "show": 3.0, "page": 3.0, "records": 2.0, "import": 2.0}
_LONGEST_BYTES = 20_000
_STATS = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """``edges`` and ``features`` as libFuzzer counts them: branches of our code, and how often."""

    target: str
    examples: int
    executions: int
    edges: int
    features: int
    ended_well: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="of all targets together")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only these")
    parser.add_argument("--findings", type=Path, default=Path(".fuzz"), help="where they are kept")
    parser.add_argument("--again", type=Path, help="give this file to its target, and raise")
    given_options = parser.parse_args()
    if given_options.again is not None:
        _again(given_options.again)
        return 0
    names = given_options.target or list(TARGETS)
    folder: Path = given_options.findings
    whole = sum(_SHARES.get(name, 1.0) for name in names)
    outcomes = []
    for name in names:
        limit_s = given_options.seconds * _SHARES.get(name, 1.0) / whole
        outcomes.append(_fuzz(name, limit_s, folder))
        _tell(outcomes[-1])
    kept = sorted(path for path in folder.glob("*") if path.is_file() and path.suffix != ".why")
    executions = sum(one.examples + one.executions for one in outcomes)
    print(f"{executions} files tried, {len(kept)} findings")
    for path in kept:
        why = path.with_name(f"{path.name}.why")
        print(f"  {path}: {why.read_text().partition(chr(10))[0] if why.exists() else 'died'}")
    return int(bool(kept) or not all(one.ended_well for one in outcomes))


def _fuzz(name: str, limit_s: float, folder: Path) -> Outcome:
    examples = _try_properties(name, limit_s * _PROPERTIES_SHARE, folder)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        corpus = Path(place) / "corpus"
        corpus.mkdir()
        for number, content in enumerate(fuzz_seeds.seeds(name, measured=True)):
            (corpus / f"seed{number}").write_bytes(content)
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [
                *(sys.executable, str(HERE / "fuzz_guided.py"), name, str(corpus), str(folder)),
                f"-max_total_time={limit_s * (1 - _PROPERTIES_SHARE):.0f}",
                f"-max_len={_LONGEST_BYTES}",
                *(
                    "-timeout=60",
                    "-report_slow_units=3600",
                    "-rss_limit_mb=4096",
                    "-print_final_stats=1",
                    "-len_control=0",
                ),
                f"-artifact_prefix={folder}/{name}-",
            ],
            check=False,
            # libFuzzer ends its process without a word to Python: what it made goes with ours.
            env={**os.environ, "TMPDIR": place},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    said = done.stderr
    counts = _STATS.findall(said)
    edges, features, _ = map(int, counts[-1]) if counts else (0, 0, 0)
    executions = _EXECUTIONS.search(said)
    if done.returncode:
        print(said[-3000:], file=sys.stderr)
    return Outcome(
        name,
        examples,
        int(executions[1]) if executions else 0,
        edges,
        features,
        ended_well=not done.returncode,
    )


def _try_properties(name: str, limit_s: float, folder: Path) -> int:
    """How many examples the property was given until the time was up."""
    findings = Findings(name, folder)
    contents = fuzz_inputs.inputs(name, measured=True)
    end = time.monotonic() + limit_s

    def holds(content: bytes) -> None:
        # Hypothesis has a number of examples and no time: what comes later costs nothing.
        if time.monotonic() < end:
            findings.try_out(content)

    bounded = settings(
        max_examples=500,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    while time.monotonic() < end:
        seed(secrets.randbits(64))(bounded(given(contents)(holds)))()
    return findings.executions


def _again(path: Path) -> None:
    target = TARGETS[next(name for name in TARGETS if path.name.startswith(f"{name}-"))]
    with tempfile.TemporaryDirectory() as place:
        fuzz_seeds.write_known(Path(place))
        check(target, path.read_bytes(), Path(place))
    print(f"{path}: nothing that isn't documented")


def _tell(one: Outcome) -> None:
    print(
        f"{one.target}: {one.examples} examples of hypothesis; {one.executions} executions of "
        f"libFuzzer, {one.edges} edges, {one.features} features",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
