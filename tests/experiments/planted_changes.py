"""What a history finds of changes that were planted in it, beside Apache Otava on the same series.

Writes a folder of runs (300 runs of 200 cases, 20 of which change once by 2 to 10 %) under each of
four kinds of noise, has ``trnbench history`` read it, and counts: found (within 5 runs of where
it was planted), missed, false. With --otava, the Python of an environment that has apache-otava,
the same sustained times go through its ``compute_change_points`` with its own defaults, and once
with the floor of 1 % that ours has.

python tests/experiments/planted_changes.py --seeds 3 --otava OTAVA_VENV/bin/python
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from trnbench.results.record import CaseKey, Device, Environment, Estimate, Record, Status, Summary

WITHIN = 5
#: Nothing is planted nearer to the ends of a history.
MARGIN = 10


@dataclass(frozen=True)
class Noise:
    """Between runs, as a fraction of the time: ``spread`` of a case (log-uniform between two
    ends, Student's t with 3 degrees of freedom, or ``normal``), ``common`` to all cases of a run,
    ``correlation`` of neighbouring runs, and the part of runs that are ``outlying``, by 15 % in
    the mean and always slower."""

    spread: tuple[float, float]
    common: float
    correlation: float
    outlying: float
    normal: bool = False


NOISE = {
    "normal": Noise((0.003, 0.010), 0.0, 0.0, 0.0, normal=True),
    "quiet": Noise((0.003, 0.010), 0.001, 0.0, 0.01),
    "shared": Noise((0.005, 0.030), 0.003, 0.0, 0.03),
    "drifting": Noise((0.005, 0.020), 0.003, 0.4, 0.02),
}

OTAVA = """
import json, sys
from otava.analysis import compute_change_points
given = json.load(sys.stdin)
print(json.dumps([
    [int(point.index) for point in compute_change_points(one, min_magnitude=given["floor"])[0]]
    for one in given["series"]
]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", choices=list(NOISE), action="append")
    parser.add_argument("--otava", metavar="PYTHON", help="of an environment with apache-otava")
    options = parser.parse_args()
    print("noise     seed  by             found  missed  false  at the run  seconds")
    for name in options.noise or NOISE:
        for seed in range(options.seeds):
            series, planted = make_series(NOISE[name], seed, options)
            for by, found, took_s in judge(series, options.otava):
                print(f"{name:9} {seed:4}  {by:13} {score(found, planted)}  {took_s:7.1f}")
    return 0


def make_series(noise, seed, options):
    """``(series, planted)``: seconds a call, a row a case and a column a run; and for each case
    that changes the run at which it does."""
    random = np.random.default_rng([seed, *map(ord, str(noise))])
    shape = options.cases, options.runs
    low, high = noise.spread
    spread = np.exp(random.uniform(np.log(low), np.log(high), (options.cases, 1)))
    own = random.standard_normal(shape)
    if not noise.normal:
        own = random.standard_t(3, shape) / np.sqrt(3)
    for run in range(1, options.runs):
        fresh = np.sqrt(1 - noise.correlation**2) * own[:, run]
        own[:, run] = noise.correlation * own[:, run - 1] + fresh
    log = spread * own + noise.common * random.standard_normal(options.runs)
    outlying = random.random(shape) < noise.outlying
    log += np.where(outlying, random.exponential(0.15, shape), 0.0)
    log += np.log(np.exp(random.uniform(np.log(2e-6), np.log(2e-2), (options.cases, 1))))
    planted = {}
    for case in random.choice(options.cases, options.changes, replace=False):
        at = int(random.integers(MARGIN, options.runs - MARGIN + 1))
        effect = random.uniform(0.02, 0.10) * random.choice([-1, 1])
        log[case, at:] += np.log1p(effect)
        planted[int(case)] = at
    return np.exp(log), planted


def judge(series, otava):
    with tempfile.TemporaryDirectory() as folder:
        write_runs(series, Path(folder))
        command = [sys.executable, "-m", "trnbench", "history", folder, "--json"]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        took_s = time.perf_counter() - began
    histories = {one["configuration"]: one for one in json.loads(done.stdout)}
    found = [
        [one["runs"].index(turn["run"]) for turn in one["changes"]]
        for one in (histories[f"case-{case}"] for case in range(len(series)))
    ]
    yield "trnbench", found, took_s
    for floor in (0.0, 0.01) if otava else ():
        given = json.dumps({"series": series.tolist(), "floor": floor})
        began = time.perf_counter()
        done = subprocess.run(
            [otava, "-c", OTAVA], input=given, capture_output=True, text=True, check=True
        )
        took_s = time.perf_counter() - began
        yield f"otava {floor:.0%} floor", json.loads(done.stdout), took_s


def score(found, planted):
    hits, exact, false = 0, 0, 0
    for case, places in enumerate(found):
        near = [at for at in places if case in planted and abs(at - planted[case]) <= WITHIN]
        hits += bool(near)
        exact += planted.get(case) in near
        false += len(places) - bool(near)
    return f"{hits:5}  {len(planted) - hits:6}  {false:5}  {exact:10}"


def write_runs(series, folder):
    environment = Environment(
        machine="0123456789ab",
        boot="ba9876543210",
        system="Linux 6.1 x86_64",
        cpu="Some Processor 9000",
        cpus_logical=4,
        memory_bytes=16 * 2**30,
        threads=2,
        python="3.11.2",
        versions={"torch": "2.13.0"},
        git={"commit": "0000000"},
    )
    device = Device(
        name="Some Processor 9000",
        chip=None,
        chip_reason="a CPU isn't in the catalog",
        share=None,
        index=0,
        cores_used=2,
        memory_bytes=16 * 2**30,
        driver=None,
    )
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for number, times in enumerate(series.T):
        moment = began + timedelta(hours=12 * number)
        run = f"{moment:%Y%m%dT%H%M%SZ}-{number:06x}"
        own = environment.model_copy(update={"git": {"commit": f"{number:07x}"}})
        records = (
            Record(
                run=run,
                origin="measured",
                time=f"{moment:%Y-%m-%dT%H:%M:%SZ}",
                status=Status.OK,
                status_counts={"OK": 3},
                case=CaseKey(
                    workload="planted",
                    configuration=f"case-{case}",
                    params={"case": case},
                    phase="forward",
                    dtype="fp32",
                    mode="eager",
                    backend="cpu",
                ),
                summary=Summary(
                    processes=3,
                    sustained=Estimate(value=time_s, low=time_s * 0.99, high=time_s * 1.01),
                ),
                device=device,
                environment=own,
            ).model_dump_json()
            for case, time_s in enumerate(map(float, times))
        )
        folder.joinpath(f"{run}.jsonl").write_text("\n".join(records) + "\n")


if __name__ == "__main__":
    sys.exit(main())
