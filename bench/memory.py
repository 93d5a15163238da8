"""How much memory a process that is being measured takes."""

from __future__ import annotations

import contextlib

import psutil


def resident_bytes(pid: int, *, with_children: bool) -> int:
    """Resident size of a process, and of all that it started ``with_children``; 0 once it has
    ended. Finding children reads the whole process table, which would disturb timing."""
    try:
        process = psutil.Process(pid)
        total: int = process.memory_info().rss
        children = process.children(recursive=True) if with_children else []
    except psutil.NoSuchProcess:
        return 0
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += child.memory_info().rss
    return total
