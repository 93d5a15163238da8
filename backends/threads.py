"""CPU threads of torch's operators: of the whole work on a CPU, of the host's part elsewhere."""

from __future__ import annotations

import os
from typing import Any

from .processor import read_cpu
from .protocol import Settings

# Settles how many threads the OpenMP and MKL pools have before torch starts them.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def default_threads() -> int:
    """The threads of a run that names none: every physical core that this process may use, as
    torch takes them, but one processor is left to the system where there are several.

    An operator on n threads waits for the slowest: anything else that runs on an n-core machine
    takes one of them away for whole slices of the scheduler. On a shared machine with two cores
    that made 8 ms of 0.2 ms calls, while one thread kept to a few per cent. OMP_NUM_THREADS,
    where it is set, is the user's own word.
    """
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    usable = usable_cpus() or 1
    return max(1, min(read_cpu()["physical_cores"] or usable, usable - 1))


def usable_cpus() -> int | None:
    """Logical processors that this process may run on: fewer than present in a container."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def set_thread_variables(environment: dict[str, str], settings: Settings) -> None:
    """In the environment of a worker to come."""
    if settings.threads is not None:
        environment |= dict.fromkeys(THREAD_VARIABLES, str(settings.threads))


def set_threads(torch: Any, settings: Settings) -> None:
    """In this process; raises ``RuntimeError`` where torch doesn't take the number."""
    wanted = settings.threads
    if wanted is None:
        return
    if wanted < 1:
        raise RuntimeError(f"{wanted} threads asked for; at least 1 is needed")
    torch.set_num_threads(wanted)
    got = torch.get_num_threads()
    if got != wanted:
        raise RuntimeError(
            f"{wanted} threads asked for, and torch uses {got}: unset "
            f"{' and '.join(THREAD_VARIABLES)}"
        )
