"""The CPU under other names, each with one way of its own to be no ordinary device."""

from __future__ import annotations

import dataclasses
import os
import sys
import time

import torch

from trnbench import bench_case
from trnbench.backends import registry
from trnbench.backends.cpu import CpuBackend
from trnbench.backends.protocol import KnownFailure, Refusal


@bench_case(name="square", params={"small": {"n": 32}})
def square(params, dtype, seed):
    n = params["n"]
    return torch.square, (torch.arange(float(n * n)).reshape(n, n) / n**2,)


class _Dying:
    def __call__(self, x):
        if x.dtype == torch.float64:
            return x + 1
        print("the device says: E-42 no lanterns left", file=sys.stderr, flush=True)
        os._exit(3)


@bench_case(name="dying", params={"small": {}})
def dying(params, dtype, seed):
    return _Dying(), (torch.ones(4, 4),)


class _Speaking:
    def __call__(self, x):
        if x.dtype == torch.float64:
            return x + 1
        raise RuntimeError("E-42 no lanterns left")


@bench_case(name="speaking", params={"small": {}})
def speaking(params, dtype, seed):
    return _Speaking(), (torch.ones(4, 4),)


class _Slow:
    """Its first call takes as long as a compiler; ``stuck`` hangs once it is warm."""

    def __init__(self, stuck):
        self.stuck = stuck
        self.begin = None

    def __call__(self, x):
        if x.dtype == torch.float64:
            return x + 1
        if self.begin is None:
            time.sleep(7)
            self.begin = time.monotonic()
        # With a budget of four seconds the warm-up takes two: this is after it.
        if self.stuck and time.monotonic() - self.begin > 3.5:
            time.sleep(3600)
        return x + 1


@bench_case(name="slow", params={"steady": {"stuck": False}, "stuck": {"stuck": True}})
def slow(params, dtype, seed):
    return _Slow(params["stuck"]), (torch.ones(4, 4),)


class Compiling(CpuBackend):
    """Has a compiler that takes longer than a case may."""

    name = "compiling"
    warmup_seconds = 4.0
    compile_allowance_s = 600.0


class Occupied(CpuBackend):
    name = "occupied"

    def busy(self, settings):
        return Refusal("process 4242 holds core 0", "end it, or take other cores")


class StandIn(CpuBackend):
    name = "stand-in"

    def identity(self):
        return dataclasses.replace(super().identity(), name="simulated cpu", simulated=True)


class Falling(CpuBackend):
    """Says of every second operator that the host ran it."""

    name = "falling"
    cleared = False

    def clear_fallbacks(self):
        self.cleared = True

    def fallbacks(self):
        return ("aten::square",) if self.cleared else ()


class Restless(CpuBackend):
    """Compiles in the timed part: its counter moves once a warm-up has been believed."""

    name = "restless"
    calls = 0

    def time_isolated(self, call, calls):
        self.calls += 1
        return super().time_isolated(call, calls)

    def counters(self):
        return {"graphs_compiled": 1 + (self.calls > 120)}


class Explaining(CpuBackend):
    name = "explaining"

    def explain(self, text):
        if "E-42" not in text:
            return None
        return KnownFailure("E-42", "OUT_OF_MEMORY", "the lanterns are full", "bring fewer")


class Alone(CpuBackend):
    """One case a process, as devices want it that a process claims for itself."""

    name = "alone"
    cases_per_process = 1


for kind in (Compiling, Occupied, StandIn, Falling, Restless, Explaining, Alone):
    registry.register(kind.name, kind)
