"""Workloads of other people: the decorator that registers one, and the loading of modules that
hold them. Imports no torch: a registered workload is listed, and its cost known, without it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.family import DTYPES, PRESETS, Configuration, Family, Params, Phase
from ..specs.cost import Cost
from .errors import UsageError, unknown
from .stated_cost import StatedCost, stated_cost

if TYPE_CHECKING:
    from ..models.program import Program

#: Entry points of this group name modules that register workloads when they are imported.
ENTRY_POINT_GROUP = "trnbench.workloads"

Make = Callable[[Params, str, int], Any]
#: Registered workload -> the module that registers it.
_modules: dict[str, str] = {}


def bench_case(
    *,
    name: str | None = None,
    params: Mapping[str, Params] | Sequence[Params] | None = None,
    dtypes: Sequence[str] = ("fp32",),
    cost: StatedCost | Callable[[Params, str], StatedCost] | None = None,
    preset: str = "quick",
    compiled: bool = False,
    phase: Phase = "forward",
    summary: str = "",
    error_bound: Mapping[str, float] | None = None,
) -> Callable[[Make], Callable[[Params, str, int], Program]]:
    """Register the decorated function as a family of workloads.

    The function takes ``(params, dtype, seed)`` and returns ``(function or module, inputs)``,
    made on the CPU from the seed, or a ``trnbench.models.program.Program``. It stands at the
    top level of a module that a worker process can import.

    - ``name``: of the family; the function's own name by default.
    - ``params``: ``{"configuration": {"rows": 512}, ...}``, or a list of parameter sets, which
      are named after their values; without it there is one configuration, ``default``.
    - ``cost``: what one call costs, or a function of ``(params, dtype)`` that says it: a
      ``Cost`` or a mapping (see ``stated_cost``). Without it no fraction of a roof is known.
    - ``preset``: the smallest preset that holds the cases; ``compiled``: in mode "compiled" too.
    - ``error_bound``: largest error against float64 by dtype, where the default doesn't fit.

    Raises ``UsageError`` for a function that a worker couldn't import, and for unknown names.
    """
    _require_known("dtype", dtypes, DTYPES)
    _require_known("preset", [preset], PRESETS)

    def register_family(make: Make) -> Callable[[Params, str, int], Program]:
        from ..models.registry import register

        _require_importable(make)

        @functools.wraps(make)
        def build(params: Params, dtype: str, seed: int) -> Program:
            return _as_program(make(params, dtype, seed), make.__qualname__)

        source = f"{make.__module__}:{make.__qualname__}"
        family = Family(
            name=name or make.__name__,
            summary=summary or (make.__doc__ or "").strip().partition("\n")[0],
            phase=phase,
            configurations=_configurations(params, tuple(dtypes), preset, compiled),
            program=source,
            cost=_cost_function(cost, source),
            error_bound=dict(error_bound or {}),
        )
        register(family)
        _modules[family.name] = make.__module__
        return build

    return register_family


def load_registered(load: Sequence[str] = ()) -> None:
    """Import the modules of the entry-point group and those named in ``load``.

    The working folder can be imported from, last, as if the interpreter had been started
    there. Raises ``UsageError`` naming the module that can't be imported, and why.
    """
    for point in metadata.entry_points(group=ENTRY_POINT_GROUP):
        origin = point.dist.name if point.dist else "an installed distribution"
        _load(
            point.load,
            f"the workloads of '{origin}' (entry point '{point.value}' of {ENTRY_POINT_GROUP})",
            f"mend or uninstall '{origin}'",
        )
    if load:
        find_from_here()
    for module in load:
        _load(
            functools.partial(import_module, module),
            f"module '{module}' (--bench-load)",
            "name a module that can be imported from the working folder or is installed",
        )


def find_from_here() -> None:
    """Let modules be found in the working folder, after all others."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def registering_modules() -> tuple[str, ...]:
    """The modules that registered workloads so far, as far as a worker can import them."""
    return tuple(dict.fromkeys(m for m in _modules.values() if is_importable(m)))


def require_importable(workloads: Iterable[str]) -> None:
    """Raise ``UsageError`` for a workload that a module registered which only this process
    could import, such as a test file."""
    for workload in workloads:
        module = _modules.get(workload)
        if module is not None and not is_importable(module):
            raise UsageError(
                f"workload '{workload}' is registered by '{module}', which a worker process "
                "couldn't import; move it to a module that can be imported from the working "
                "folder, and name that with --bench-load"
            )


def is_importable(module: str) -> bool:
    """Whether the finders of this process, whose path its workers get, find the module's top."""
    top = module.partition(".")[0]
    return any(finder.find_spec(top, None) for finder in sys.meta_path)


def _load(load: Callable[[], Any], what: str, mend: str) -> None:
    try:
        load()
    except UsageError as error:
        raise UsageError(f"{what}: {error}") from error
    except Exception as error:
        raise UsageError(
            f"{what} can't be imported: {type(error).__name__}: {error}; {mend}"
        ) from error


def _require_known(kind: str, given: Sequence[str], known: Sequence[str]) -> None:
    if isinstance(given, str):
        raise UsageError(f"{kind}s are a list, '{given}' given; write ['{given}']")
    for one in given:
        if one not in known:
            raise unknown(kind, one, known)


def _require_importable(make: Make) -> None:
    if "." in make.__qualname__ or make.__module__ == "__main__":
        where = "a program's main module" if make.__module__ == "__main__" else "another object"
        raise UsageError(
            f"bench_case: '{make.__qualname__}' is defined inside {where}, and a worker process "
            "couldn't import it; move it to the top level of a module"
        )


def _configurations(
    params: Mapping[str, Params] | Sequence[Params] | None,
    dtypes: tuple[str, ...],
    preset: str,
    compiled: bool,
) -> tuple[Configuration, ...]:
    if params is None:
        named: Mapping[str, Params] = {"default": {}}
    elif isinstance(params, Mapping):
        named = params
    else:
        named = {"-".join(f"{k}{v}" for k, v in one.items()) or "default": one for one in params}
        if len(named) < len(params):
            raise UsageError(
                f"bench_case: {len(params)} parameter sets given, {len(named)} of them distinct; "
                "give each another value, or names of its own: params={'name': {...}}"
            )
    if not named:
        raise UsageError("bench_case: no parameter sets given; leave params out for one without")
    entries = (*dtypes, *(f"{dtype}:compiled" for dtype in dtypes if compiled))
    return tuple(
        Configuration(
            name=name,
            params=dict(one),
            dtypes=dtypes,
            quick=entries if preset == "quick" else (),
            standard=entries if preset in ("quick", "standard") else (),
        )
        for name, one in named.items()
    )


def _cost_function(
    cost: StatedCost | Callable[[Params, str], StatedCost] | None, source: str
) -> Callable[[Params, str], Cost] | None:
    if cost is None:
        return None
    if callable(cost):
        return lambda params, dtype: stated_cost(cost(params, dtype), source)
    fixed = stated_cost(cost, source)
    return lambda _params, _dtype: fixed


def _as_program(made: Any, name: str) -> Program:
    from ..models.program import Program

    if isinstance(made, Program):
        return made
    if isinstance(made, tuple) and len(made) == 2 and callable(made[0]):
        function, inputs = made
        return Program(function, tuple(inputs))
    raise TypeError(
        f"{name} returned {type(made).__name__}; wanted (function or module, inputs), with inputs "
        "a tuple of tensors, or a trnbench.models.program.Program"
    )
