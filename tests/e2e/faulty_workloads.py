"""Ten workloads: five good, and five that each end in a way of their own."""

from __future__ import annotations

import ctypes
import os
import time

import torch

from trnbench import bench_case


def _add(x):
    return x + 1


def _matrix(seed: int):
    return torch.randn(32, 32, generator=torch.Generator().manual_seed(seed))


GOOD = {f"good-{number}": {"number": number} for number in range(5)}


@bench_case(name="good", params=GOOD)
def good(params, dtype, seed):
    return _add, (_matrix(seed + params["number"]),)


def _crash():
    ctypes.string_at(0)


def _hang():
    time.sleep(3600)


def _devour():
    kept = []
    while True:
        # Touched, so that it is resident and not only promised.
        kept.append(torch.ones(64 * 2**20 // 4))


def _raise():
    # torch's own words in a workload's own mouth: no gap of the stack.
    raise ValueError("\"mine\" not implemented for 'Half' on purpose")


def _crash_with_child():
    if os.fork() == 0:
        # Holds the other end of every pipe that its parent had.
        time.sleep(3600)
    ctypes.string_at(0)


FAULTS = {"crash": _crash, "hang": _hang, "devour": _devour, "raise": _raise}
MORE_FAULTS = {"crash-with-child": _crash_with_child}


class _Faulty:
    """Has its fault where it is measured; with ``early`` in the float64 reference already."""

    def __init__(self, fault: str, *, early: bool) -> None:
        self.fault = fault
        self.early = early

    def __call__(self, x):
        if (x.dtype == torch.float64) is not self.early:
            return x + 1
        if self.fault == "spoil":
            return x * float("nan")
        return (FAULTS | MORE_FAULTS)[self.fault]()


@bench_case(name="faulty", params={name: {"fault": name} for name in (*FAULTS, "spoil")})
def faulty(params, dtype, seed):
    return _Faulty(params["fault"], early=False), (_matrix(seed),)


@bench_case(name="early", params={name: {"fault": name} for name in (*FAULTS, "spoil")})
def early(params, dtype, seed):
    return _Faulty(params["fault"], early=True), (_matrix(seed),)


@bench_case(name="left-behind", params={name: {"fault": name} for name in MORE_FAULTS})
def left_behind(params, dtype, seed):
    return _Faulty(params["fault"], early=False), (_matrix(seed),)


class _Wrong:
    """Right in float64, off by one part in a hundred in the dtype that is measured."""

    def __call__(self, x):
        return x * 2 if x.dtype == torch.float64 else x * 2.02


@bench_case(name="wrong")
def wrong(params, dtype, seed):
    return _Wrong(), (_matrix(seed),)
