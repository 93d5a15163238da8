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


# Torch isn't to count what it costs: that takes a call more.
@bench_case(name="dying", params={"small": {}}, cost={"flops": 16})
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


class _Printing:
    """A compiler of its own process: it says why on the standard error, and leaves a code."""

    def __call__(self, x):
        if x.dtype == torch.float64:
            return x + 1
        print("noise\nE-42 no lanterns left\nmore noise", file=sys.stderr, flush=True)
        raise RuntimeError("the compiler left with exit code 70")


@bench_case(name="printing", params={"small": {}})
def printing(params, dtype, seed):
    return _Printing(), (torch.ones(4, 4),)


class _MadeOnce:
    """A program that can be made once in a process: the second one ends it."""

    made = 0

    def __init__(self):
        type(self).made += 1
        self.number = self.made

    def __call__(self, x):
        if self.number > 1:
            os._exit(9)
        return x + 1


@bench_case(name="made_once", params={"small": {}})
def made_once(params, dtype, seed):
    return _MadeOnce(), (torch.ones(4, 4),)


class Making(CpuBackend):
    """Makes a graph of everything, as far as its counters go."""

    name = "making"
    made = 0

    def place(self, value):
        type(self).made += 1
        return super().place(value)

    def synchronize(self):
        type(self).counted = self.made

    counted = 0

    def counters(self):
        return {"graphs_compiled": self.counted}


class Once(CpuBackend):
    """Lists a fallback only when it is told of an operator for the first time."""

    name = "once"
    told = False

    def fallbacks(self):
        first, self.told = not self.told, True
        return ("aten::square",) if first else ()


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


@bench_case(
    name="slow",
    params={"steady": {"stuck": False}, "stuck": {"stuck": True}},
    cost={"flops": 16},
)
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


class Acme(CpuBackend):
    """A device that calls itself as the chip of docs/examples/my_chip.toml does."""

    name = "acme"

    def identity(self):
        own = super().identity()
        facts = {k: v for k, v in own.facts.items() if k != "architecture"}
        return dataclasses.replace(own, name="Acme One", memory_bytes=128 * 10**9, facts=facts)


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


for kind in (Making, Once, Compiling, Occupied, StandIn, Falling, Restless, Explaining, Alone):
    registry.register(kind.name, kind)


class OnceBusy(CpuBackend):
    """Held by somebody else until it has been asked for twice in one process."""

    name = "once-busy"
    asked = 0

    def busy(self, settings):
        type(self).asked += 1
        return Refusal("process 4242 holds core 0", "wait for it") if self.asked <= 2 else None


class OnceListed(OnceBusy):
    """Free when it is asked for once more, as where a driver still lists a worker of ours."""

    name = "once-listed"
    asked = 1


class Unlit(Explaining):
    """Has no device that could be claimed."""

    name = "unlit"

    def start(self, settings):
        raise RuntimeError("claiming the device failed\nE-42 no lanterns left")


for kind in (Acme, OnceBusy, OnceListed, Unlit):
    registry.register(kind.name, kind)
