"""A cost as its author states it: a ``Cost``, or a mapping of the figures that are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..specs.cost import Cost, Headline
from .errors import unknown

StatedCost = Cost | Mapping[str, Any]
#: The figures that a mapping may state, and what they mean: see ``Cost``.
FIGURES = (
    "flops",
    "bytes_moved",
    "bytes_useful",
    "working_set_bytes",
    "items",
    "item_unit",
    "vector_flops",
    "scalar_flops",
    "collective_bytes",
    "convention",
    "source",
)


def stated_cost(given: StatedCost, source: str) -> Cost:
    """``{"flops": 2 * n**3, "bytes_moved": ...}`` as a ``Cost``; a ``Cost`` as it is.

    What isn't stated is taken as none (flops), as the bytes moved (useful bytes and working
    set), and as one call (items). Raises ``UsageError`` for a figure that no cost has.
    """
    if isinstance(given, Cost):
        return given
    for name in given:
        if name not in FIGURES:
            raise unknown("figure of a cost", name, FIGURES)
    moved = int(given.get("bytes_moved", 0))
    flops = int(given.get("flops", 0))
    headline: Headline = "items" if "items" in given else "flops" if flops else "bytes"
    return Cost(
        flops=flops,
        flops_counted=None,
        bytes_moved=moved,
        bytes_useful=int(given.get("bytes_useful", moved)),
        working_set_bytes=int(given.get("working_set_bytes", moved)),
        items=int(given.get("items", 1)),
        item_unit=str(given.get("item_unit", "calls")),
        headline=headline if flops or moved or "items" in given else "items",
        convention=str(given.get("convention", "as the author counts")),
        source=str(given.get("source", source)),
        vector_flops=int(given.get("vector_flops", 0)),
        scalar_flops=int(given.get("scalar_flops", 0)),
        collective_bytes=int(given.get("collective_bytes", 0)),
        uncounted_reason="stated by the author, not counted",
    )
