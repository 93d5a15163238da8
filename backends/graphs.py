"""What torch.compile has done so far in this process, read without importing it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from .protocol import Settings

_CACHE = "TORCHINDUCTOR_CACHE_DIR"


def set_cache_variables(environment: dict[str, str], settings: Settings) -> None:
    """Let Inductor and Triton keep what they compile in the folder that was asked for."""
    if settings.cache is not None:
        environment[_CACHE] = str(Path(settings.cache, "inductor"))
        environment["TRITON_CACHE_DIR"] = str(Path(settings.cache, "triton"))


def named_cache() -> str | None:
    """Inductor's cache as somebody named it; ``None`` where it is the user's common one. To be
    asked before anything is compiled: Inductor then sets the variable itself."""
    return os.environ.get(_CACHE)


def count_cache_files(folder: str | None) -> int | None:
    """Graphs in Inductor's cache in ``folder``; ``None`` without one: in the user's common cache
    other processes come and go."""
    if folder is None:
        return None
    return sum(path.is_file() for path in Path(folder, "fxgraph").rglob("*"))


def count_graph_breaks() -> int:
    """Places at which Dynamo gave up a graph and began another, since the process began.

    Source: ``torch._dynamo.utils.counters["graph_break"]``, reason by reason. With
    ``fullgraph=True`` there is none: the first one is an error.
    """
    return sum(_counters().get("graph_break", {}).values())


def is_graph_break(error: BaseException | None) -> bool:
    """Whether Dynamo refused to compile a function as one graph."""
    exceptions = sys.modules.get("torch._dynamo.exc")
    names = ("Unsupported", "UserError")
    refusals = tuple(getattr(exceptions, name) for name in names if hasattr(exceptions, name))
    return isinstance(error, refusals)


def count_compilations() -> dict[str, int]:
    """Counts since the process began, all of which stand still while a compiled call repeats.

    - ``graphs_compiled``: graphs that Dynamo made; one more with every recompilation.
    - ``cache_hits`` and ``cache_misses``: lookups of those graphs in Inductor's cache on disk.

    All 0 as long as nothing was compiled. Source: ``torch._dynamo.utils.counters``, tried with
    torch 2.13 on a CPU: ``stats/unique_graphs`` goes from 1 to 2 when a call with a new shape
    makes a second graph, and stays at 1 when the shape is the same.
    """
    counters = _counters()
    graphs, inductor = counters.get("stats", {}), counters.get("inductor", {})
    return {
        "graphs_compiled": graphs.get("unique_graphs", 0),
        "cache_hits": inductor.get("fxgraph_cache_hit", 0),
        "cache_misses": inductor.get("fxgraph_cache_miss", 0),
    }


def _counters() -> Mapping[str, Mapping[str, int]]:
    counters: Mapping[str, Mapping[str, int]] = getattr(
        sys.modules.get("torch._dynamo.utils"), "counters", {}
    )
    return counters
