"""The levels of memory that hold a working set, and the working sets that tell them apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..results.record import Device, Fact
from ..specs.attained import CacheSize

SMALLEST_BYTES = 16 * 2**10
LARGEST_BYTES = 512 * 2**20


def cache_sizes(device: Device) -> list[CacheSize]:
    """What the device's caches hold together, smallest first, from its own facts.

    On a CPU the first two levels are private to a core and count once for every core used; the
    third counts as many instances as the cores used need. On an accelerator: ``l2_bytes``.
    Levels whose size is unknown are left out.
    """
    facts = device.facts
    if _whole(facts, "l1d_bytes") is None:
        l2_bytes = _whole(facts, "l2_bytes") or _whole(facts, "l2_cache_bytes")
        return [CacheSize(name="L2", bytes=l2_bytes)] if l2_bytes else []
    cores = device.cores_used or 1
    shared_by = _whole(facts, "l3_shared_by") or cores
    counts = {"L1": cores, "L2": cores, "L3": math.ceil(cores / shared_by)}
    sizes = {
        "L1": _whole(facts, "l1d_bytes"),
        "L2": _whole(facts, "l2_bytes"),
        "L3": _whole(facts, "l3_bytes"),
    }
    return [CacheSize(name=n, bytes=size * counts[n]) for n, size in sizes.items() if size]


def default_working_sets(
    caches: Sequence[CacheSize],
    memory_bytes: int | None,
    also: Sequence[int] = (),
    near: float = 1.15,
) -> list[int]:
    """Bytes, ascending: ``also``; half, three quarters and all of the first cache, half and
    three quarters of each other one; twice and four times the last one (but at most 512 MiB and
    an eighth of the memory; a last cache of over 256 MiB still gets two sets beyond it); and
    powers of four up to the last cache. Of two that are closer than the ratio ``near`` the first named
    is kept, except among ``also``, which are all kept.
    """
    limit, beyond = _beyond(caches[-1].bytes if caches else 0)
    if memory_bytes is not None:
        limit = min(limit, memory_bytes // 8)
    within = [cache.bytes * part // 4 for cache in caches for part in (2, 3)]
    wanted = [*beyond, *within, *(cache.bytes for cache in caches[:1])]
    last_bytes = caches[-1].bytes if caches else limit
    wanted += [size for i in range(8) if (size := SMALLEST_BYTES * 4**i) <= last_bytes]
    kept = sorted({size for size in also if size <= limit})
    # Earlier ones are wanted more: a later one gives way to what is close to it.
    for size in (min(size, limit) for size in wanted):
        if size >= SMALLEST_BYTES and not any(
            max(size, other) < near * min(size, other) for other in kept
        ):
            kept.append(size)
    return sorted(kept)


def _beyond(last_bytes: int) -> tuple[int, list[int]]:
    """The largest working set, and two that the last cache can't hold."""
    limit = max(LARGEST_BYTES, 2 * last_bytes)
    if not last_bytes:
        return limit, [limit // 2, limit]
    if 4 * last_bytes <= limit:
        return limit, [2 * last_bytes, 4 * last_bytes]
    return limit, [max(last_bytes * 3 // 2, limit // 2), limit]


def level_of(working_set_bytes: int, caches: Sequence[CacheSize], memory: str = "DRAM") -> str:
    """The name of the smallest level that holds the working set."""
    for cache in caches:
        if working_set_bytes <= cache.bytes:
            return cache.name
    return memory


def _whole(facts: Mapping[str, Fact], name: str) -> int | None:
    value = facts.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
