"""What the native Neuron stack counts: compilations, cache look-ups, operators on the host.

Names and meanings are those of ``torch_neuronx`` 2.10's sources (``metrics.py``,
``CompilationCache.cpp``, ``neuron_dynamo_backend/metrics.py``, read 2026-11-23); later releases
may have moved them, so every one is looked up, and :meth:`NeuronMetrics.missing` tells which are
not there. Compilation runs beside the host: synchronise before reading anything here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .graphs import count_compilations

_PREFIX = "CompilationCache."
#: Looked up in torch_neuronx; what the backend can't see without them is in the docstrings below.
_NAMES = (
    "metrics.get_counter_value",
    "metrics.get_metric_data",
    "neuron.get_dynamo_metrics",
    "get_fallback_ops",
    "clear_op_tracking",
)


class NeuronMetrics:
    """``stack`` is the module ``torch_neuronx``."""

    def __init__(self, stack: Any) -> None:
        self._found = {name: _find(stack, name) for name in _NAMES}
        # The variable that switches them on is read at the first import, which may have come
        # before a worker could set it.
        enable = _find(stack, "metrics.set_enabled")
        if enable is not None:
            enable(True)

    def missing(self) -> tuple[str, ...]:
        """Names that this release of the stack has not: what they tell stays unseen."""
        return tuple(name for name, found in self._found.items() if found is None)

    def counters(self) -> dict[str, int]:
        """Counts since the process began, all of which stand still once nothing is new.

        A NEFF is the device's program: one for each operator and shape (eager) or for each
        graph (compiled). ``graphs_compiled`` counts those that the process had to get, from the
        compiler or from disk; ``cache_hits`` and ``cache_misses`` are look-ups on disk, and
        ``dynamo_graphs`` are Dynamo's graphs. Look-ups in memory (``InMemoryHits``) move with
        every operator, so they aren't among these.
        """
        dynamo = count_compilations()["graphs_compiled"]
        if self._found["metrics.get_counter_value"] is None:
            return {"graphs_compiled": dynamo, "cache_hits": 0, "cache_misses": 0}
        hits = self._count("PersistentHits")
        return {
            "graphs_compiled": self._count("TotalCompilations") + hits,
            "cache_hits": hits,
            "cache_misses": self._count("PersistentMisses"),
            "dynamo_graphs": dynamo,
        }

    def compile_time_ns(self) -> int | None:
        """Time in the compiler, and in torch.compile's own passes before it; ``None`` where
        the stack tells neither.

        A graph of torch.compile is an entry of the same cache as an eager operator, so its
        ``torch_neuronx_compile_us`` is part of ``CompilationTime`` already.
        """
        read, graphs = (
            self._found[name] for name in ("metrics.get_metric_data", "neuron.get_dynamo_metrics")
        )
        if read is None and graphs is None:
            return None
        parts = ["torch_neuronx_fx_passes_us", "torch_neuronx_lower_us"]
        total_us = 0.0
        if read is None:
            parts.append("torch_neuronx_compile_us")
        else:
            total_us += (read(_PREFIX + "CompilationTime") or {}).get("accumulator", 0.0)
        if graphs is not None:
            total_us += sum(getattr(graph, part, 0) for graph in graphs() for part in parts)
        return round(total_us * 1000)

    def clear_fallbacks(self) -> None:
        clear = self._found["clear_op_tracking"]
        if clear is not None:
            clear()

    def fallbacks(self) -> tuple[str, ...]:
        """Each operator once: the stack lists one for each time that it ran on the host."""
        read = self._found["get_fallback_ops"]
        return () if read is None else tuple(sorted({str(name) for name in read()}))

    def _count(self, name: str) -> int:
        read = self._found["metrics.get_counter_value"]
        # A counter is None until it first moves.
        return int((read(_PREFIX + name) if read else None) or 0)


def _find(stack: Any, dotted: str) -> Callable[..., Any] | None:
    found = stack
    for part in dotted.split("."):
        found = getattr(found, part, None)
    return found if callable(found) else None
