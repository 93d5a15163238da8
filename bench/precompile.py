"""Filling a stack's compile caches without measuring: before a run, or under a tool that only
collects graphs (``neuron_parallel_compile trnbench compile ...``), whose outputs are invalid."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from rich.console import Console
from rich.text import Text

from ..backends import registry as backends
from ..results.columns import empty_table, say
from ..results.quantity import format_seconds
from ..results.record import CaseKey, Device, ProcessOutcome, Status
from .case import Case
from .findings import explained
from .messages import Job, SettingsData
from .occupancy import busy_outcomes, find_others
from .options import RunOptions
from .registration import registering_modules
from .run import Listener, import_path, require_environment
from .supervisor import Limits, memory_limit_bytes, run_job, split_job


@dataclass(frozen=True, slots=True)
class Compiled:
    """What compiling one case came to; nothing of it is a measurement."""

    case: Case
    outcome: ProcessOutcome


def precompile(cases: Sequence[Case], options: RunOptions, listener: Listener) -> list[Compiled]:
    """Make the first calls of every case, each regime's own, and record nothing.

    Raises ``UsageError`` where the environment rules even that out.
    """
    settings = replace(options.settings(), compile_only=True)
    keys = [case.key() for case in cases]
    require_environment(keys, settings)
    listener.planned(cases, 1)
    done: list[Compiled] = []

    def take(key: CaseKey, outcome: ProcessOutcome, _: Device | None) -> None:
        done.append(Compiled(Case.of(key), outcome))
        listener.ended(Case.of(key), 0, outcome.status)

    def on_phase(key: CaseKey, phase: str) -> None:
        listener.phase(Case.of(key), 0, phase)

    for name in dict.fromkeys(key.backend for key in keys):
        backend = backends.create(name)
        environment = dict(os.environ)
        backend.prepare_environment(environment, settings)
        memory_bytes = memory_limit_bytes(options.memory_limit_bytes)
        limits = Limits(options.timeout_s, memory_bytes, backend.compile_allowance_s)
        explain = functools.partial(explained, backend)
        wanted = [key for key in keys if key.backend == name]
        for chunk in split_job(wanted, backend.cases_per_process):
            busy = find_others(backend, settings)
            if busy is not None:
                for outcome in busy_outcomes(busy, len(chunk), process=0, position=0):
                    take(chunk[outcome.position], outcome, None)
                continue
            job = Job(
                role="compile",
                backend=name,
                settings=SettingsData(**asdict(settings)),
                cases=chunk,
                process=0,
                first_position=0,
                budget_s=options.budget_s,
                load=list(dict.fromkeys([*options.load, *registering_modules()])),
                path=import_path(),
                references="",
                parent=os.getpid(),
                memory_bytes=memory_bytes,
            )
            run_job(job, environment, limits, on_phase, take, explain)
    return done


def print_compiled(done: Sequence[Compiled], console: Console) -> None:
    """A row a case: how long its first call took, how many graphs it made, and from where."""
    table = empty_table()
    for heading in ("case", "status", "first call", "graphs", "cache"):
        table.add_column(heading, overflow="fold")
    for one in done:
        outcome = one.outcome
        first_s = None if outcome.first_call_ns is None else outcome.first_call_ns / 1e9
        table.add_row(
            Text(one.case.node_name),
            str(outcome.status),
            "-" if first_s is None else format_seconds(first_s),
            "-" if outcome.graphs_compiled is None else str(outcome.graphs_compiled),
            outcome.cache_state or "-",
        )
    console.print(table)
    for one in done:
        if one.outcome.failure is not None:
            say(console, f"{one.case.node_name}: {one.outcome.failure.message}")
    ready = sum(one.outcome.status is Status.OK for one in done)
    say(console, f"{ready} of {len(done)} cases compiled; nothing was measured or recorded", "bold")
