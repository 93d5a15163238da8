"""Records, their store, statistics, comparison and reports; without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .frame import load as load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """Lazy members: pandas is imported only when a frame is asked for."""
    if name == "load":
        from .frame import load

        return load
    raise AttributeError(f"module 'trnbench.results' has no attribute {name!r}")
