"""Workloads that a lazy device must report, and one that it must not."""

from __future__ import annotations

import time

import torch

from trnbench import bench_case

#: A new shape so often: longer than a warm-up needs to come to rest, far shorter than a budget.
CHANGE_S = 0.5


def _rows(count: int, seed: int):
    return torch.randn(count, 64, generator=torch.Generator().manual_seed(seed))


class _Growing:
    """One row more every now and then, as with batches of different lengths."""

    def __init__(self) -> None:
        self.begin_s: float | None = None

    def __call__(self, x):
        if x.dtype == torch.float64:
            return x[:32] * 2
        if self.begin_s is None:
            self.begin_s = time.perf_counter()
        return x[: 32 + int((time.perf_counter() - self.begin_s) / CHANGE_S)] * 2


@bench_case(name="growing", params={"rows": {}})
def growing(params, dtype, seed):
    return _Growing(), (_rows(4096, seed),)


def _trace_of_eigenvalues(x):
    return torch.linalg.eigvals(x).real.sum()


@bench_case(name="eigenvalues", params={"16": {}})
def eigenvalues(params, dtype, seed):
    return _trace_of_eigenvalues, (_rows(16, seed)[:, :16].contiguous(),)


def _product(x, y):
    return x @ y


@bench_case(name="plain", params={"192": {}})
def plain(params, dtype, seed):
    # A shape that no other case has, so that its graph is compiled for it.
    x = torch.randn(192, 192, generator=torch.Generator().manual_seed(seed))
    return _product, (x, x.t().contiguous())
