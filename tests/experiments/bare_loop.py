"""The harness's timing of a matmul against a bare loop of the same call.

Adjacent pairs in random order inside one process, the median of the pairs' log-ratios per
process, a t-interval over processes. Prints the ratio harness / bare for each case, and what
the timed loop itself costs a call. Exits with 1 where an interval of a judged case leaves the
limit. Run it on a quiet machine: python tests/experiments/bare_loop.py
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time

SAMPLE_S = 0.001


def measure_process(size: int, dtype: str, pairs: int, threads: int) -> tuple[list, list]:
    """Seconds per call, ``(bare, harness)``, entry i of both being one adjacent pair."""
    from trnbench.backends.protocol import Settings
    from trnbench.backends.registry import create
    from trnbench.models.matmul import make_program

    backend = create("cpu")
    backend.start(Settings(threads=threads))
    program = make_program({"op": "mm", "m": size, "n": size, "k": size}, dtype, 7)
    call = program.bound_call()
    function, inputs = program.function, program.inputs
    bare_loop(function, inputs, 3)
    calls = max(1, round(SAMPLE_S / bare_loop(function, inputs, 3)))
    bare, harness = [], []
    for _ in range(pairs):
        if random.random() < 0.5:
            bare.append(bare_loop(function, inputs, calls))
            harness.append(backend.time_sustained(call, calls).wall_ns * 1e-9 / calls)
        else:
            harness.append(backend.time_sustained(call, calls).wall_ns * 1e-9 / calls)
            bare.append(bare_loop(function, inputs, calls))
    return bare, harness


def bare_loop(function, inputs, calls: int) -> float:
    """What anybody would write; seconds per call."""
    begin = time.perf_counter()
    for _ in range(calls):
        function(*inputs)
    return (time.perf_counter() - begin) / calls


def loop_costs_ns(calls: int = 100_000, repeats: int = 40) -> tuple[float, float]:
    """Nanoseconds a call of nothing in the timed loop and in a bare loop, taken in turn: the
    least of each, since a slow phase of the machine makes both dearer."""
    from trnbench.backends.registry import create

    backend = create("cpu")

    def nothing() -> None:
        pass

    pairs = [
        (
            backend.time_sustained(nothing, calls).wall_ns / calls,
            bare_loop(nothing, (), calls) * 1e9,
        )
        for _ in range(repeats)
    ]
    return min(timed for timed, _ in pairs), min(bare for _, bare in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=float, default=0.02, help="judged: sizes up to 512")
    parser.add_argument("--loop-limit-ns", type=float, default=35.0)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        size, dtype = options.child
        pairs = options.pairs if int(size) <= 1024 else max(5, options.pairs // 20)
        print(json.dumps(measure_process(int(size), dtype, pairs, options.threads)))
        return 0
    from trnbench.results.statistics import paired_ratio

    failed = False
    cost_ns, bare_ns = loop_costs_ns()
    failed |= cost_ns > options.loop_limit_ns
    print(
        f"timed loop: {cost_ns:.1f} ns a call of nothing (limit {options.loop_limit_ns:g}), "
        f"a bare loop beside it {bare_ns:.1f} ns"
    )
    for size, dtype in (("512", "fp32"), ("512", "bf16"), ("2048", "fp32"), ("2048", "bf16")):
        command = [sys.executable, __file__, *sys.argv[1:], "--child", size, dtype]
        found = []
        for _ in range(options.processes):
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found.append(tuple(json.loads(done.stdout.splitlines()[-1])))
        ratio, low, high = paired_ratio(found)
        judged = int(size) <= 512
        inside = 1 - options.limit < low and high < 1 + options.limit
        failed |= judged and not inside
        call_ms = statistics.median(found[0][0]) * 1e3
        print(
            f"matmul {size} {dtype}: harness / bare = {ratio:.4f} [{low:.4f}, {high:.4f}], "
            f"{call_ms:.3f} ms a call, {len(found)} processes x {len(found[0][0])} pairs"
            + ("" if judged else " (reported)")
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
