"""What the sampler process costs an operator that is being timed.

A worker process times a torch operator of about 10 us on the CPU in samples of half a
millisecond, as runs do, in stretches; the parent holds the sampler still (SIGSTOP) in half of
them and lets it run (SIGCONT) in the others. Two stretches in random order make a pair, and a
pair's ratio is that of their figures (median, and mean, of the samples). In A/A pairs, the
control, the sampler is in the same state in both: where their interval leaves the limit, the
machine is too busy to say anything. A stretch with the sampler may be shorter than its period;
``--period-s 0.1`` puts readings into every one, ten times as many as in a run.

The ratio over pairs is the median per process; the interval is a t-interval over processes.
The mean is printed too, since a median of short samples wouldn't see rare long ones. ``both
ways`` are the pairs with the sampler first, and those with it second, by themselves.

    python tests/experiments/sampler_cost.py --processes 5 --pairs 40

Exits with 1 where the ratio of medians, or an end of its interval, leaves the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

SAMPLE_S = 0.0005
CALL_S = 10e-6
FIRST_SIZE = 16_384
STATES = ("off", "on")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=40, help="in each process, of each kind")
    parser.add_argument("--stretch-s", type=float, default=0.25)
    parser.add_argument("--period-s", type=float, default=1.0, help="the sampler's period")
    parser.add_argument("--backend", default="cpu", help="decides what the sampler reads")
    parser.add_argument("--limit", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options.stretch_s)
    print(f"load average {os.getloadavg()[0]:.2f}, {os.cpu_count()} processors")
    results = [measure_process(options, number) for number in range(options.processes)]
    print(f"load average {os.getloadavg()[0]:.2f} at the end")
    return report(results, options.limit)


def work(stretch_s: float) -> int:
    """The timed process: a stretch for each line of standard input, its samples as JSON back."""
    import torch

    torch.set_num_threads(1)
    a = torch.randn(FIRST_SIZE)
    # As many elements as take the wanted time here.
    a = torch.randn(round(FIRST_SIZE * CALL_S / best_call_s(torch.exp, a)))
    call_s = best_call_s(torch.exp, a)
    calls = max(1, round(SAMPLE_S / call_s))
    print(json.dumps(call_s), flush=True)
    for _ in sys.stdin:
        samples = []
        end = time.perf_counter() + stretch_s
        while time.perf_counter() < end:
            samples.append(time_calls(torch.exp, a, calls))
        print(
            json.dumps({"median": statistics.median(samples), "mean": sum(samples) / len(samples)}),
            flush=True,
        )
    return 0


def time_calls(function, a, calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        function(a)
    return (time.perf_counter() - begin) / calls


def best_call_s(function, a) -> float:
    """The least of many short samples, which other load only makes longer."""
    return min(time_calls(function, a, 50) for _ in range(200))


def measure_process(options, number: int) -> dict:
    """Pairs of one fresh worker: kind -> list of (first state, [off or first, on or second])."""
    from trnbench.bench.telemetry import Telemetry

    order = random.Random(f"{options.seed} {number}")
    plan = [("ab", pair) for pair in range(options.pairs)]
    plan += [(f"aa {state}", pair) for state in STATES for pair in range(options.pairs // 2)]
    order.shuffle(plan)
    pairs: dict[str, list] = {"ab": [], "aa on": [], "aa off": []}
    command = [sys.executable, __file__, "--worker", "--stretch-s", str(options.stretch_s)]
    with (
        Telemetry([options.backend], options.period_s) as telemetry,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as worker,
    ):
        sampler = telemetry._sampler._process.pid
        call_s = json.loads(worker.stdout.readline())
        begin_s, cpu_before_s = time.monotonic(), cpu_seconds(sampler)
        for kind, _ in plan:
            first = order.choice(STATES)
            second = STATES[1 - STATES.index(first)]
            states = (first, second) if kind == "ab" else (kind[3:], kind[3:])
            pairs[kind].append((states, [stretch(worker, sampler, state) for state in states]))
        os.kill(sampler, signal.SIGCONT)
        cpu_s, end_s = cpu_seconds(sampler) - cpu_before_s, time.monotonic()
        read = telemetry.between(begin_s, end_s)["cpu.load"].samples
        worker.stdin.close()
    print(
        f"process {number}: {call_s * 1e6:.1f} us a call, {read} sets of readings in "
        f"{end_s - begin_s:.0f} s, {cpu_s / read * 1e3:.2f} ms of processor time each",
        flush=True,
    )
    return pairs


def stretch(worker, sampler: int, state: str) -> dict:
    os.kill(sampler, signal.SIGCONT if state == "on" else signal.SIGSTOP)
    worker.stdin.write("\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def cpu_seconds(pid: int) -> float:
    """Time on a processor, which the scheduler keeps in nanoseconds."""
    nanoseconds, *_ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    return int(nanoseconds) * 1e-9


def report(results: list[dict], limit: float) -> int:
    from trnbench.results.statistics import paired_ratio

    over = False
    rows = [
        ("sampler on / off", "ab", lambda states: True),
        ("  off first", "ab", lambda states: states[0] == "off"),
        ("  on first", "ab", lambda states: states[0] == "on"),
        ("control: second / first, off", "aa off", lambda states: True),
        ("control: second / first, on", "aa on", lambda states: True),
    ]
    for name, kind, wanted in rows:
        for figure in ("median", "mean"):
            processes = []
            for pairs in results:
                chosen = [(s, values) for s, values in pairs[kind] if wanted(s)]
                # The second over the first, but always "on" over "off" where they differ.
                turned = [values[::-1] if s == ("on", "off") else values for s, values in chosen]
                processes.append(tuple([v[i][figure] for v in turned] for i in (0, 1)))
            ratio = paired_ratio(processes)
            interval = (
                "no interval"
                if ratio.low is None
                else f"{ratio.low - 1:+.3%} to {ratio.high - 1:+.3%}"
            )
            count = sum(len(p[0]) for p in processes)
            print(f"{name:30} {figure:6} {ratio.value - 1:+.3%} ({interval}), {count} pairs")
            if name == "sampler on / off" and figure == "median":
                ends = [abs(v - 1) for v in ratio if v is not None]
                over = max(ends) > limit
    print(f"{'over' if over else 'within'} the limit of {limit:.1%}")
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
