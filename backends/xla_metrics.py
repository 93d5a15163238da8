"""What torch-xla counts: graphs compiled, time spent on it, operators that ran on the host.

Names and meanings: ``torch_xla.debug.metrics`` of torch-xla 2.9.0, tried on a CPU (2026-11-23).
``CachedCompile`` counts graphs that the process had already and moves with every step: it is none
of the counters that must stand still.
"""

from __future__ import annotations

import os
from typing import Any

#: Folder of compiled graphs between processes, where the device can read them back.
CACHE = "XLA_PERSISTENT_CACHE_PATH"
#: Reading a value back is counted like an operator that ran on the host, and is none.
_READ_BACK = "aten::_local_scalar_dense"


class XlaMetrics:
    """``metrics`` is the module ``torch_xla.debug.metrics``."""

    def __init__(self, metrics: Any) -> None:
        self._metrics = metrics
        self._fallbacks_before: dict[str, int] = {}

    def counters(self) -> dict[str, int]:
        """``graphs_extracted`` are those that torch.compile handed to XLA: one that XLA had
        compiled already is counted there alone. Look-ups where there is a cache on disk."""
        counts = {
            "graphs_compiled": self._count("UncachedCompile"),
            "graphs_extracted": self._count("DynamoExtractCompiledGraph"),
        }
        if CACHE not in os.environ:
            return counts
        misses = ("PersistentCacheMiss", "PersistentCacheDeserializeFailure")
        return counts | {
            "cache_hits": self._count("PersistentCacheHit"),
            "cache_misses": sum(self._count(name) for name in misses),
        }

    def compile_time_ns(self) -> int:
        measured = self._metrics.metric_data("CompileTime")
        return 0 if measured is None else round(measured[1])

    def clear_fallbacks(self) -> None:
        # Torch-xla can clear all its counters only, and those of compilations with them.
        self._fallbacks_before = self._count_fallbacks()

    def fallbacks(self) -> tuple[str, ...]:
        now, before = self._count_fallbacks(), self._fallbacks_before
        return tuple(sorted(name for name in now if now[name] != before.get(name)))

    def _count_fallbacks(self) -> dict[str, int]:
        names = self._metrics.executed_fallback_ops()
        return {name: self._count(name) for name in names if name != _READ_BACK}

    def _count(self, name: str) -> int:
        return int(self._metrics.counter_value(name) or 0)  # None before the first
