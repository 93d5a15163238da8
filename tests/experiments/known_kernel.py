"""The harness's timing of kernels of known duration against the device's own stamps.

On the device that stands in for Neuron a kernel busy-waits for exactly so long and is stamped by
the device's thread when it is queued, when it begins, when it ends, and when the wait for it
returns. For kernels of 0.1, 1 and 10 ms this compares, in one process and with samples of both
regimes in turn:

- the slope of the queue fit with the median time from begin to end that the device stamped;
- what an isolated call takes beyond that slope with the hand-over that the device stamped (from
  queueing to the beginning, and from the end to the return of the wait), sample by sample.

A sample counts where the device's own stamps show that the system left its thread alone: every
kernel within 1 % of its duration, no gap between two of them and no late wake-up. What the host's
clock says has no part in that choice. One measurement is taken once, and goes on until it
has enough such samples, or for two minutes. Run it alone on the machine: python tests/experiments/known_kernel.py
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
#: Duration in microseconds -> queue lengths, and how many samples of each length are wanted.
PLANS = {100: ((4, 8, 12, 16, 20), 40), 1000: ((2, 4, 6, 8, 10), 20), 10_000: ((1, 2, 3, 4, 5), 8)}
#: What the stand-in takes to begin with what it was handed, as hardware does. Without it, Python's
#: own microseconds around a call would be as long.
HAND_OVER_US = 1000
#: By the device's stamps, the system took its thread away from a sample with longer ones.
KERNEL_STRETCH = 1.01
LONGEST_GAP_NS = 20_000
LONGEST_WAKE_NS = 100_000
#: After so long a quarter of the samples wanted is enough, and less is none.
LIMIT_S = 120.0
ENOUGH = 0.25
SLOPE_LIMIT = 0.03
HAND_OVER_LIMIT = 0.20


def make_backend(synchronize: bool):
    """The real backend, started; or the same with the bug that the comparison must find."""
    from trnbench.backends.neuron import NeuronBackend
    from trnbench.backends.protocol import Settings

    class Forgetful(NeuronBackend):
        def synchronize(self) -> None:
            pass

    backend = NeuronBackend() if synchronize else Forgetful()
    backend.start(Settings())
    return backend


def measure(backend, duration_us: int, seed: int) -> dict:
    """The figures for one kernel, in nanoseconds."""
    import torch
    from torch_neuronx import standin

    from trnbench.results.statistics import queue_fit

    x = backend.place(torch.ones(8))
    lengths, wanted = PLANS[duration_us]
    order, deadline_s = random.Random(seed), time.monotonic() + LIMIT_S

    def call():
        return torch.ops.standin.busy(x, duration_us)

    def sample(timed, calls):
        """Its wall time, and the device's stamps where they show no disturbance, else None."""
        stamp = timed(call, calls)
        torch.neuron.synchronize()  # also where the backend forgot to
        stamps = standin.take_stamps()
        return stamp.wall_ns, stamps if is_undisturbed(stamps, duration_us * 1000) else None

    for _ in range(3):
        sample(backend.time_sustained, lengths[-1])
        sample(backend.time_isolated, 1)
    queues, walls, kernels, isolated, taken = [], [], [], [], 0
    while len(walls) < wanted * len(lengths) or len(isolated) < wanted:
        if time.monotonic() > deadline_s:
            require_enough(len(walls) / (wanted * len(lengths)), len(isolated) / wanted, taken)
            break
        tasks = [*lengths, None]
        order.shuffle(tasks)
        for calls in tasks:
            taken += 1
            if calls is None:
                wall_ns, stamps = sample(backend.time_isolated, 1)
                if stamps is not None:
                    isolated.append((wall_ns, stamps[0].hand_over_ns))
                continue
            wall_ns, stamps = sample(backend.time_sustained, calls)
            if stamps is not None:
                queues.append(calls)
                walls.append(wall_ns)
                kernels += [stamp.end_ns - stamp.begin_ns for stamp in stamps]
    fixed_ns, slope_ns = queue_fit(queues, walls)
    return {
        "duration_us": duration_us,
        "samples": len(walls) + len(isolated),
        "disturbed": taken - len(walls) - len(isolated),
        "slope_ns": slope_ns,
        "fixed_ns": fixed_ns,
        "stamped_kernel_ns": statistics.median(kernels),
        "isolated_ns": statistics.median(wall for wall, _ in isolated),
        "stamped_hand_over_ns": statistics.median(hand_over for _, hand_over in isolated),
    }


def require_enough(queues: float, isolated: float, taken: int) -> None:
    """Raises where less than a quarter of the samples wanted came together in time."""
    if min(queues, isolated) < ENOUGH:
        raise RuntimeError(
            f"{queues:.0%} of the queues and {isolated:.0%} of the isolated calls that are wanted "
            f"were undisturbed within {LIMIT_S:g} s, of {taken} samples: use a quieter machine"
        )


def is_undisturbed(stamps, kernel_ns: int) -> bool:
    gaps = [later.begin_ns - former.end_ns for former, later in itertools.pairwise(stamps)]
    wakes = [stamps[-1].synchronized_ns - stamps[-1].end_ns]
    wakes.append(stamps[0].begin_ns - stamps[0].enqueued_ns - HAND_OVER_US * 1000)
    return (
        all(stamp.end_ns - stamp.begin_ns < KERNEL_STRETCH * kernel_ns for stamp in stamps)
        and all(gap < LONGEST_GAP_NS for gap in gaps)
        and all(wake < LONGEST_WAKE_NS for wake in wakes)
    )


def judge(figures: dict) -> dict:
    """Both errors as fractions, and whether they are within the limits."""
    slope = figures["slope_ns"] / figures["stamped_kernel_ns"] - 1
    excess = figures["isolated_ns"] - figures["slope_ns"]
    hand_over = excess / figures["stamped_hand_over_ns"] - 1
    return {
        "slope_error": slope,
        "hand_over_error": hand_over,
        "right": abs(slope) <= SLOPE_LIMIT and abs(hand_over) <= HAND_OVER_LIMIT,
    }


def child_environment(folder: Path) -> dict[str, str]:
    """The stand-in's variables, with a site and a root below ``folder``."""
    sys.path.insert(0, str(HERE.parent / "standin"))
    import standin_installation

    installed = standin_installation.install(folder / "site")
    root = standin_installation.make_root(folder / "root")
    return {**os.environ, **installed, **root, "STANDIN_LAUNCH_US": str(HAND_OVER_US)}


def run(environment: dict[str, str], *arguments: str) -> list[dict]:
    """The measurements of one process, in which the device is registered."""
    command = [sys.executable, __file__, "--child", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--durations", type=int, nargs="+", default=list(PLANS), help="in us")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-synchronization", action="store_true", help="plant the bug")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        with contextlib.suppress(PermissionError):
            os.nice(-20)  # the device is a thread: the less it is disturbed, the sooner it's done
        backend = make_backend(synchronize=not options.without_synchronization)
        found = [measure(backend, duration, options.seed) for duration in options.durations]
        print(json.dumps([{**figures, **judge(figures)} for figures in found]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = run(child_environment(Path(folder)), *sys.argv[1:])
    for figures in found:
        print(
            f"{figures['duration_us'] / 1000:g} ms: slope {figures['slope_ns'] / 1e6:.5f} ms, "
            f"stamped {figures['stamped_kernel_ns'] / 1e6:.5f} ms "
            f"({figures['slope_error']:+.2%}, limit {SLOPE_LIMIT:.0%}); isolated less slope "
            f"{(figures['isolated_ns'] - figures['slope_ns']) / 1e3:.1f} us, stamped hand-over "
            f"{figures['stamped_hand_over_ns'] / 1e3:.1f} us "
            f"({figures['hand_over_error']:+.1%}, limit {HAND_OVER_LIMIT:.0%}); "
            f"{figures['samples']} samples, {figures['disturbed']} disturbed"
        )
    return 0 if all(figures["right"] for figures in found) else 1


if __name__ == "__main__":
    sys.exit(main())
