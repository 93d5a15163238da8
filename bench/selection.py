"""From options to cases: which families, configurations, dtypes, modes and backends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..backends import registry as backends
from ..backends.protocol import Backend
from ..models.family import DTYPES, PRESETS, Configuration, Family, Phase
from ..models.registry import families
from .case import Case
from .errors import UsageError, unknown
from .options import RunOptions
from .registration import load_registered

MODES = ("eager", "compiled", "lazy", "traced")


def select(options: RunOptions) -> list[Case]:
    """Every case of the preset on every chosen backend, in a stable order.

    Raises ``UsageError`` for an unknown backend, preset, dtype or mode, naming the known ones,
    for a backend that was asked for by name and isn't available, with the reason, and for cores
    that no chosen backend would claim.
    """
    load_registered(options.load)
    _require_known("preset", [options.preset], PRESETS)
    return [
        case
        for backend in chosen_backends(options)
        for family in families()
        for case in _cases_of(family, backend, options)
    ]


def chosen_backends(options: RunOptions) -> list[Backend]:
    """The backends to measure on, after a look at what else was asked of them; raises as
    ``select`` does."""
    _require_known("dtype", options.dtypes, DTYPES)
    _require_known("mode", options.modes, MODES)
    chosen = list(_chosen_backends(options.backends))
    _require_cores_claimed(options, chosen)
    offered = {mode for b in chosen for mode in (*b.modes, *b.modes_on_request)}
    for mode in options.modes:
        if mode not in offered:
            has = "; ".join(
                f"{b.name} has {', '.join((*b.modes, *b.modes_on_request))}" for b in chosen
            )
            raise UsageError(f"no chosen backend has the mode '{mode}': {has or 'none can run'}")
    return chosen


def _require_known(kind: str, given: Iterable[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise unknown(kind, name, known)


def _chosen_backends(asked: Sequence[str]) -> Iterator[Backend]:
    """The backends asked for, each of which must be available; or all that are."""
    _require_known("backend", asked, backends.names())
    for name in dict.fromkeys(asked) if asked else backends.names():
        backend = backends.create(name)
        found = backend.availability()
        if found.available:
            yield backend
        elif asked:
            mend = f" {found.mend}" if found.mend else ""
            raise UsageError(f"backend '{name}' can't run here: {found.reason}.{mend}")


def _require_cores_claimed(options: RunOptions, chosen: Sequence[Backend]) -> None:
    """An option that nobody reads would be stored as if it had been heeded."""
    given = {"--bench-cores": options.cores, "--bench-lnc": options.lnc}
    asked = [f"{option} {value}" for option, value in given.items() if value is not None]
    if not asked or any(backend.claims_cores for backend in chosen):
        return
    names = ", ".join(backend.name for backend in chosen) or "none, since none can run"
    claiming = [name for name in backends.names() if backends.create(name).claims_cores]
    raise UsageError(
        f"{' '.join(asked)} given, and no chosen backend claims cores (chosen: {names}): leave it "
        f"out, or choose one that does: {', '.join(claiming) or 'there is none'}"
    )


def _cases_of(family: Family, backend: Backend, options: RunOptions) -> Iterator[Case]:
    for configuration in family.configurations:
        for dtype, compiled in entries(configuration, options.preset):
            if options.dtypes and dtype not in options.dtypes:
                continue
            phase = family.phase_of(configuration)
            for mode in modes_of(phase, backend, options, compiled=compiled):
                yield Case(
                    workload=family.name,
                    configuration=configuration.name,
                    params=configuration.params,
                    phase=phase,
                    dtype=dtype,
                    mode=mode,
                    backend=backend.name,
                )


def modes_of(phase: Phase, backend: Backend, options: RunOptions, *, compiled: bool) -> list[str]:
    """The modes of an entry on this backend, of those that were asked for. One on request goes
    with the uncompiled entries, and is of inference only."""
    if compiled:
        modes = ["compiled"] if "compiled" in backend.modes else []
    else:
        asked = phase == "forward" and options.modes
        modes = [backend.modes[0], *(backend.modes_on_request if asked else ())]
    return [mode for mode in modes if not options.modes or mode in options.modes]


def entries(configuration: Configuration, preset: str) -> list[tuple[str, bool]]:
    """The (dtype, compiled) pairs of a preset; each preset holds the one before it."""
    names = list(configuration.quick)
    if preset in ("standard", "full"):
        names += configuration.standard
    if preset == "full":
        names += [*configuration.dtypes, *(f"{d}:compiled" for d in configuration.dtypes)]
    entries = []
    for name in dict.fromkeys(names):
        dtype, _, mode = name.partition(":")
        if dtype not in configuration.dtypes or mode not in ("", "compiled"):
            raise UsageError(
                f"configuration '{configuration.name}' lists '{name}' in preset '{preset}'; "
                f"wanted one of its dtypes ({', '.join(configuration.dtypes)}), with ':compiled' "
                "or without"
            )
        entries.append((dtype, mode == "compiled"))
    return entries
