"""``trnbench ceiling``: what this device really attains, measured, stored and found again.

The best of a few fresh processes: a ceiling is what the device can do, so a disturbed process
is no evidence. It is an attained figure and never gates a result.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from ..backends import registry
from ..backends.protocol import Backend, Settings
from ..backends.threads import default_threads
from ..models.family import DTYPES
from ..models.registry import builtin_families
from ..results.record import Device
from ..results.store import new_run_id
from ..specs.attained import AttainedCeiling, AttainedMatmul
from ..specs.catalog import load_catalog
from .ceiling_best import (
    best_bandwidths,
    best_clock_hz,
    best_dispatch_s,
    best_matmuls,
    unresolved_working_sets,
)
from .ceiling_process import run_sweep
from .ceiling_store import (
    CeilingError,
    ceiling_path,
    explain_absence,
    find_ceiling,
    load_ceiling,
    prepare_folder,
    store_ceiling,
)
from .ceiling_sweep import QUICK, THOROUGH, Sweep, SweepJob
from .environment import environment
from .errors import UsageError, unknown
from .messages import SettingsData
from .occupancy import find_others

__all__ = [
    "CeilingError",
    "ceiling_path",
    "explain_absence",
    "find_ceiling",
    "load_ceiling",
    "measure_ceiling",
    "run_ceiling_command",
    "store_ceiling",
]

Progress = Callable[[str], None]

#: Below this many operations a byte memory binds on any processor of today.
MEMORY_BOUND_FLOPS_PER_BYTE = 4


def measure_ceiling(
    backend_name: str,
    settings: Settings,
    out: Path,
    quick: bool,
    progress: Progress,
    *,
    job: SweepJob | None = None,
) -> AttainedCeiling:
    """Measure, store in ``out``, and return what the device attains.

    ``quick`` looks at fewer shapes, for a shorter time, in fewer processes. ``progress`` is
    given a line of text now and then, and what was skipped at the end. ``job`` replaces the
    usual search.

    Raises ``UsageError`` where the backend is unknown or can't run here, or a worker fails, and
    ``CeilingError`` where ``out`` can't be written: before anything is measured.
    """
    backend = _available(backend_name)
    prepare_folder(out)
    effort = QUICK if quick else THOROUGH
    job = job or SweepJob(
        backend=backend_name,
        settings=SettingsData(**asdict(settings)),
        effort=effort,
        dtypes=list(DTYPES),
        also=case_working_sets(),
    )
    processes = (job.effort or effort).processes
    sweeps = []
    for number in range(1, processes + 1):

        def tell(text: str, number: int = number) -> None:
            progress(f"{backend_name} ceiling, process {number} of {processes}: {text}")

        sweeps.append(run_sweep(backend, settings, job, tell))
    for reason in sorted({reason for sweep in sweeps for reason in sweep.skipped}):
        progress(f"not measured: {reason}")
    for size in unresolved_working_sets(sweeps):
        progress(f"not measured: memory, {size} bytes: dispatch hides it")
    ceiling = combine(backend_name, settings, sweeps)
    store_ceiling(out, ceiling)
    return ceiling


def case_working_sets(near: float = 1.15) -> list[int]:
    """Bytes of the working sets of the quick preset's cases that memory is likely to bind: a
    roof measured at the very size needs no guess between two sizes.

    Of several closer together than ``near`` the largest, since a case is held against the
    smallest measured set that is no smaller than its own.
    """
    sizes = set()
    for family in builtin_families():
        for configuration in family.configurations:
            for dtype in {entry.partition(":")[0] for entry in configuration.quick}:
                cost = family.cost(configuration.params, dtype) if family.cost else None
                if cost and cost.flops < MEMORY_BOUND_FLOPS_PER_BYTE * cost.bytes_moved:
                    sizes.add(cost.working_set_bytes)
    kept: list[int] = []
    for size in sorted(sizes, reverse=True):
        if not kept or kept[-1] >= near * size:
            kept.append(size)
    return sorted(kept)


def combine(backend_name: str, settings: Settings, sweeps: Sequence[Sweep]) -> AttainedCeiling:
    """The best of all processes, as it is stored."""
    here = environment(settings.threads)
    identity = sweeps[0].identity
    return AttainedCeiling(
        id=new_run_id(),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        backend=backend_name,
        device=identity.device.name,
        threads=identity.threads,
        torch=here.versions["torch"],
        matmul={
            dtype: AttainedMatmul(timing.flops_per_s, _as_m_n_k(timing.shape), timing.operator)
            for dtype, timing in best_matmuls(sweeps).items()
        },
        bandwidth=best_bandwidths(sweeps),
        dispatch_s=best_dispatch_s(sweeps),
        clock_hz=best_clock_hz(sweeps),
        machine=here.machine,
        caches=tuple(sweeps[0].caches),
        memory=_memory_name(identity.device, on_host=identity.threads is not None),
    )


def _memory_name(device: Device, *, on_host: bool) -> str:
    """The main memory's name, as the roofs of the catalog call it."""
    if on_host:
        return "DRAM"
    capacity = (
        load_catalog().chip(device.chip).figure("memory", "capacity") if device.chip else None
    )
    kind = "" if capacity is None else capacity.kind
    return next((known for known in ("HBM", "GDDR") if known in kind), "DRAM")


def _as_m_n_k(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    m, k, n = shape
    return m, n, k


def _available(name: str) -> Backend:
    """The backend, ready to be started in a worker."""
    if name not in registry.names():
        raise unknown("backend", name, registry.names())
    backend = registry.create(name)
    found = backend.availability()
    if not found.available:
        mend = f" {found.mend}" if found.mend else ""
        raise UsageError(f"backend '{name}' can't run here: {found.reason}.{mend}")
    if backend.modes[0] == "lazy":
        raise UsageError(
            f"backend '{name}' is lazy: repeated calls would be folded into one graph, and no "
            "ceiling can be measured this way; use the datasheet and engine ceilings"
        )
    busy = find_others(backend, Settings())
    if busy is not None:
        raise UsageError(
            f"backend '{name}' can't be measured now: {busy.reason}. {busy.mend}".rstrip()
        )
    return backend


# ---------------------------------------------------------------------- the command


def run_ceiling_command(
    backends: tuple[str, ...],
    threads: int | None,
    out: Path,
    *,
    quick: bool,
    if_missing: bool,
    as_json: bool,
) -> int:
    """``trnbench ceiling``: measure the backends named, or all that are available, and print.

    ``if_missing`` prints a stored ceiling that applies instead of measuring. Progress goes to
    standard error; with ``as_json`` standard output holds one JSON list and nothing else.
    Returns 0; raises ``UsageError`` for what can't be measured, after the other backends have
    been measured and printed.
    """
    settings = Settings(threads=threads or default_threads())
    names = dict.fromkeys(backends) or _measurable()
    chosen = {name: _available(name) for name in names}
    ceilings, failures = [], []
    for name, backend in chosen.items():
        stored = _find_stored(backend, settings, out) if if_missing else None
        try:
            ceilings.append(stored or measure_ceiling(name, settings, out, quick, _print_progress))
        except UsageError as error:
            failures.append(str(error))
    if ceilings or not failures:
        _print_ceilings(ceilings, out, as_json=as_json)
    if failures:
        # Several backends may fail for one reason, such as the folder.
        raise UsageError("; ".join(dict.fromkeys(failures)))
    return 0


def _print_ceilings(ceilings: Sequence[AttainedCeiling], out: Path, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([json.loads(ceiling.to_json()) for ceiling in ceilings], indent=1))
        return
    from .ceiling_table import print_ceiling

    for ceiling in ceilings:
        path = ceiling_path(out, ceiling.machine, ceiling.backend, ceiling.threads)
        print_ceiling(ceiling, path)


def _measurable() -> list[str]:
    """Every backend that is available and isn't lazy."""
    found = [
        name
        for name, state in registry.availabilities().items()
        if state.available and registry.create(name).modes[0] != "lazy"
    ]
    if not found:
        raise UsageError("no backend can run here; see why with: trnbench doctor")
    return found


def _find_stored(backend: Backend, settings: Settings, out: Path) -> AttainedCeiling | None:
    """A stored ceiling that applies. A broken file is a reason to measure again, and is named."""
    here = environment(settings.threads)
    version = here.versions["torch"]
    threads = settings.threads if backend.name == "cpu" else None
    try:
        found = find_ceiling(out, here.machine, backend.name, threads, version)
        if found is None:
            why = explain_absence(out, here.machine, backend.name, threads, version)
            _print_progress(f"measuring a ceiling: {why.partition('; ')[0]}")
    except CeilingError as error:
        _print_progress(str(error))
        return None
    return found


def _print_progress(text: str) -> None:
    print(f"trnbench: {text}", file=sys.stderr, flush=True)
