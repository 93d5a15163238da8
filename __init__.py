"""trnbench: is it really faster, for this work, on this silicon?"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench.registration import bench_case as bench_case

__all__ = ["__version__", "bench_case"]


def __getattr__(name: str) -> Any:
    """Lazy members: importing the package must cost next to nothing in every pytest run."""
    if name == "__version__":
        return metadata.version("trnbench")
    if name == "bench_case":
        from .bench.registration import bench_case

        return bench_case
    raise AttributeError(f"module 'trnbench' has no attribute {name!r}")
