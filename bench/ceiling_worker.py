"""A worker of ``trnbench ceiling``: one fresh process that searches for the best of its device.

Started as ``python -P -m trnbench.bench.ceiling_worker FD`` with its job on standard input; it
writes one JSON line a message to the pipe FD.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..backends import clock, registry
from ..backends.protocol import Backend, Call, Settings, Stamp
from ..results.record import Device
from ..specs.units import words_of_size
from .ceiling_kernels import TRANSFERS, Product, Transfer, factors, products
from .ceiling_levels import cache_sizes, default_working_sets
from .ceiling_sweep import (
    TRAFFICS,
    Identity,
    MatmulTiming,
    Sweep,
    SweepJob,
    Told,
    TransferTiming,
)

if TYPE_CHECKING:
    from torch import Tensor

FLOAT_BYTES = 4
LINE_BYTES = 64
#: How many of the first round's products are looked at again.
FINALISTS = 4
#: A product is left out unseen only where it is expected to take so many times the limit: the
#: expectation comes from smaller ones, which a disturbed machine may have slowed down.
DOUBT = 4
#: Once a call takes this long, only the best operators of each kind so far go on.
LONG_CALL_S = 0.002
TRANSFERS_KEPT = 2
DISPATCH_SAMPLES = 101
#: Samples of one call at the least. A machine with other work on it slows many of them by a lot:
#: where they are cheap, enough of them are taken for a good one.
LEAST_SAMPLES = 3
LEAST_SMALL_SAMPLES = 10
SMALL_BYTES = 32 * 2**20
#: Least time of one sample: short enough to escape the scheduler, and on a device that works
#: through a queue long enough to fill it.
SAMPLE_S = 0.0005
QUEUED_SAMPLE_S = 0.005

HOST_SHAPES = (
    *((n, n, n) for n in (256, 384, 512, 768, 1024, 1536, 2048)),
    (512, 4096, 512),
    (4096, 512, 512),
    (512, 512, 2048),
    (512, 2048, 512),
)
ACCELERATOR_SHAPES = (
    *((n, n, n) for n in (1024, 2048, 4096, 8192)),
    (4096, 1024, 4096),
    (8192, 4096, 8192),
)


def main() -> None:
    """Read the job, measure, report."""
    with os.fdopen(int(sys.argv[1]), "w", buffering=1, encoding="utf-8") as pipe:
        job = SweepJob.model_validate_json(sys.stdin.buffer.read())

        def tell(told: Told) -> None:
            pipe.write(told.model_dump_json() + "\n")

        backend = registry.create(job.backend)
        backend.start(Settings(**job.settings.model_dump()))
        identity = _identity(backend)
        tell(Told(identity=identity))
        searcher = Searcher(job, backend, lambda text: tell(Told(progress=text)))
        tell(Told(sweep=searcher.sweep(identity)))


def _identity(backend: Backend) -> Identity:
    import torch

    found = backend.identity()
    if found.simulated:
        raise RuntimeError(
            f"'{found.name}' is a stand-in for hardware, which has no ceiling; measure a real device"
        )
    device = Device(
        **{name: getattr(found, name) for name in Device.model_fields if name != "facts"},
        facts=dict(found.facts),
    )
    return Identity(
        device=device, threads=torch.get_num_threads() if backend.name == "cpu" else None
    )


class Searcher:
    """One search: its job, its started backend, what it skipped so far."""

    def __init__(self, job: SweepJob, backend: Backend, progress: Callable[[str], None]) -> None:
        self.job = job
        self.effort = job.effort
        self.backend = backend
        self.progress = progress
        self.skipped: list[str] = []
        self.clocks: list[tuple[float | None, str]] = []

    def sweep(self, identity: Identity) -> Sweep:
        import torch

        caches = cache_sizes(identity.device)
        working_sets = self.job.working_sets or default_working_sets(
            caches, identity.device.memory_bytes, self.job.also, self.effort.near
        )
        with torch.inference_mode():
            self._take_clock()
            dispatch_s = self._dispatch_s()
            matmuls = [t for dtype in self.job.dtypes for t in self._search_products(dtype)]
            self._take_clock()
            timings = list(self._sweep_memory(working_sets))
            self._take_clock()
        clock_hz, clock_note = max(self.clocks, key=lambda pair: pair[0] or 0.0)
        return Sweep(
            identity=identity,
            caches=caches,
            matmuls=matmuls,
            transfers=timings,
            dispatch_s=dispatch_s,
            clock_hz=clock_hz,
            clock_note=clock_note,
            skipped=self.skipped,
        )

    def _take_clock(self) -> None:
        if self.job.backend == "cpu":
            self.clocks.append(clock.measure_clock_hz())
        else:
            self.clocks.append((None, "the clock is measured on the cpu backend only"))

    def _dispatch_s(self) -> float:
        """Median time of the smallest addition, synchronised after each call."""
        import torch

        self.progress("dispatch")
        one = self.backend.place(torch.ones(1))

        def call() -> Tensor:
            return torch.add(one, one)

        calls = self._calls_per_sample(self.backend.time_isolated, call)
        stamps = [self.backend.time_isolated(call, calls) for _ in range(DISPATCH_SAMPLES)]
        return statistics.median(_seconds(stamp) for stamp in stamps)

    # ------------------------------------------------------------------ products

    def _search_products(self, dtype: str) -> list[MatmulTiming]:
        """A glance at every product of this dtype, then a longer look at the best of them."""
        refusal = self.backend.refusal(dtype, self.backend.modes[0])
        if refusal is not None:
            self.skipped.append(f"{dtype} matmul: {refusal.reason}")
            return []
        self.progress(f"{dtype} matmul")
        glances = self._glance_at_products(dtype)
        looks = []
        for best in sorted(glances, key=lambda t: t.flops_per_s, reverse=True)[:FINALISTS]:
            (product,) = (p for p in products(dtype) if p.name == best.operator)
            call = self._product_call(product, dtype, best.shape)
            (best_s,) = self._best_in_turn([call], self.effort.look_s)
            looks.append(best.model_copy(update={"best_s": min(best.best_s, best_s)}))
        return glances + looks

    def _glance_at_products(self, dtype: str) -> list[MatmulTiming]:
        """Small products first: what is too slow, or over the budget, is left out and said."""
        default = ACCELERATOR_SHAPES if self.backend.asynchronous else HOST_SHAPES
        shapes = sorted(self.job.shapes or default, key=math.prod)
        timings: list[MatmulTiming] = []
        has_left_out = False
        best_rate = 0.0
        end = time.perf_counter() + self.effort.dtype_s
        for product, shape in [(p, s) for s in shapes for p in products(dtype)]:
            expected_s = 2 * math.prod(shape) / best_rate if best_rate else 0.0
            if time.perf_counter() > end or expected_s > DOUBT * self.effort.max_call_s:
                has_left_out = True
                continue
            try:
                best_s = self._glance_s(self._product_call(product, dtype, shape))
            except (RuntimeError, NotImplementedError) as error:
                self._skip(f"{dtype} {product.name} {shape}", error)
                continue
            if best_s is None:
                has_left_out = True
                continue
            timing = MatmulTiming(dtype=dtype, operator=product.name, shape=shape, best_s=best_s)
            best_rate = max(best_rate, timing.flops_per_s)
            timings.append(timing)
        if has_left_out:
            self.skipped.append(
                f"{dtype} matmul: larger products: over {self.effort.max_call_s:g} s a call, or "
                f"{self.effort.dtype_s:g} s together"
            )
        return timings

    def _product_call(self, product: Product, dtype: str, shape: tuple[int, int, int]) -> Call:
        a, b = factors(dtype, shape, transposed=product.weight_is_transposed)
        return product.make(self.backend.place(a), self.backend.place(b))

    def _glance_s(self, call: Call) -> float | None:
        """Least time of one call; ``None`` where the second call passes the limit."""
        self.backend.time_sustained(call, 1)
        if _seconds(self.backend.time_sustained(call, 1)) > self.effort.max_call_s:
            return None
        (best_s,) = self._best_in_turn([call], self.effort.glance_s)
        return best_s

    # ------------------------------------------------------------------ memory

    def _sweep_memory(self, working_sets: list[int]) -> Iterator[TransferTiming]:
        import torch

        span = f"{words_of_size(min(working_sets))} to {words_of_size(max(working_sets))}"
        self.progress(f"memory, {len(working_sets)} working sets from {span}")
        # One block for all working sets: it is paid for once, and small sets stay in caches.
        slack = 4 * LINE_BYTES * _SKEW_LINES
        block = self.backend.place(torch.ones((max(working_sets) + slack) // FLOAT_BYTES))
        candidates: tuple[Transfer, ...] = TRANSFERS
        empties = {t.name: t.make(_operands(block, t, t.operands * LINE_BYTES)) for t in candidates}
        for working_set in sorted(working_sets):
            timings: list[TransferTiming] = []
            end = time.perf_counter() + self.effort.set_s
            for transfer in candidates:
                # However slow the machine: one of each kind is measured.
                has_one = any(t.traffic == transfer.traffic for t in timings)
                if has_one and time.perf_counter() > end:
                    continue
                try:
                    timing = self._time_transfer(
                        transfer, _operands(block, transfer, working_set), empties[transfer.name]
                    )
                except (RuntimeError, NotImplementedError) as error:
                    self._skip(f"{transfer.name}, {working_set} bytes", error)
                    continue
                timings.append(timing.model_copy(update={"working_set_bytes": working_set}))
            yield from timings
            order = _worth_going_on(timings)
            candidates = tuple(
                sorted(
                    (t for t in candidates if t.name in order), key=lambda t: order.index(t.name)
                )
            )

    def _time_transfer(
        self, transfer: Transfer, operands: list[Tensor], empty: Call
    ) -> TransferTiming:
        one_bytes = operands[0].numel() * FLOAT_BYTES
        is_small = one_bytes * transfer.operands <= SMALL_BYTES
        best_s, empty_s = self._best_in_turn(
            [transfer.make(operands), empty],
            self.effort.transfer_s,
            LEAST_SMALL_SAMPLES if is_small else LEAST_SAMPLES,
        )
        return TransferTiming(
            traffic=transfer.traffic,
            operator=transfer.name,
            working_set_bytes=one_bytes * transfer.operands,
            moved_bytes=one_bytes * transfer.moved,
            best_s=best_s,
            empty_s=empty_s,
        )

    # ------------------------------------------------------------------ timing

    def _best_in_turn(
        self, calls: list[Call], seconds: float, least: int = LEAST_SAMPLES
    ) -> list[float]:
        """Least seconds of one call of each, sampled in turn for about ``seconds`` a call."""
        counts = [self._calls_per_sample(self.backend.time_sustained, call) for call in calls]
        best = [math.inf] * len(calls)
        end = time.perf_counter() + seconds
        samples = 0
        while samples < least or time.perf_counter() < end:
            for index, (call, count) in enumerate(zip(calls, counts, strict=True)):
                stamp = self.backend.time_sustained(call, count)
                best[index] = min(best[index], _seconds(stamp))
            samples += 1
        return best

    def _calls_per_sample(self, timer: Callable[[Call, int], Stamp], call: Call) -> int:
        """How many calls make a sample; warms the call up on the way."""
        wanted_s = QUEUED_SAMPLE_S if self.backend.asynchronous else SAMPLE_S
        timer(call, 1)
        once_s = timer(call, 1).wall_ns / 1e9
        return max(1, math.ceil(wanted_s / max(once_s, 1e-7)))

    def _skip(self, name: str, error: Exception) -> None:
        if self.backend.is_out_of_memory(error):
            self.skipped.append(f"{name}: out of memory")
            return
        first, *_ = str(error).splitlines() or [type(error).__name__]
        self.skipped.append(f"{name}: {type(error).__name__}: {first[:200]}")


#: Operands start a few lines apart from where a power of two would put them: a load and a store
#: whose addresses agree in the last 12 bits are taken for one another by the core (4K aliasing).
_SKEW_LINES = 17


def _operands(block: Tensor, transfer: Transfer, working_set_bytes: int) -> list[Tensor]:
    """The operands of a working set, next to one another in the block."""
    lines = working_set_bytes // (transfer.operands * LINE_BYTES)
    elements = max(1, lines) * LINE_BYTES // FLOAT_BYTES
    skew = _SKEW_LINES * LINE_BYTES // FLOAT_BYTES
    starts = [i * (elements + skew) for i in range(transfer.operands)]
    return [block[start : start + elements] for start in starts]


def _worth_going_on(timings: list[TransferTiming]) -> list[str]:
    """Operators to try on larger working sets, the best of each kind first: all of them, until
    calls get long."""
    is_long = any(t.best_s > LONG_CALL_S for t in timings)
    ranked: list[tuple[int, str]] = []
    for traffic in TRAFFICS:
        rivals = [t for t in timings if t.traffic == traffic]
        rivals.sort(key=lambda t: t.moved_bytes / t.best_s, reverse=True)
        ranked += enumerate(t.operator for t in rivals)
    return [name for rank, name in sorted(ranked) if rank < TRANSFERS_KEPT or not is_long]


def _seconds(stamp: Stamp) -> float:
    """Of one call: on the device's own clock where there is one."""
    total_ns = stamp.wall_ns if stamp.device_ns is None else stamp.device_ns
    return total_ns / 1e9 / stamp.calls


if __name__ == "__main__":
    main()
