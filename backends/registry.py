"""The backends by name. Nothing is imported until a backend is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import import_module, metadata

from .protocol import Availability, Backend

ENTRY_POINT_GROUP = "trnbench.backends"

#: name -> module of this package and class in it
_BUILT_IN: dict[str, str] = {
    "cpu": ".cpu:CpuBackend",
    "cuda": ".cuda:CudaBackend",
    "xpu": ".accelerator:XpuBackend",
    "mps": ".accelerator:MpsBackend",
    "neuron": ".neuron:NeuronBackend",
    "neuron-xla": ".neuron_xla:NeuronXlaBackend",
    "xla": ".xla:XlaBackend",
}
_registered: dict[str, Callable[[], Backend]] = {}


class UnknownBackendError(KeyError):
    """No backend has this name. ``given`` and ``known`` hold the names."""

    def __init__(self, given: str, known: tuple[str, ...]) -> None:
        super().__init__(given)
        self.given = given
        self.known = known

    def __str__(self) -> str:
        close = difflib.get_close_matches(self.given, self.known, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        return f"unknown backend '{self.given}'; known: {', '.join(self.known)}.{hint}"


def register(name: str, factory: Callable[[], Backend]) -> None:
    """Add a backend for this process; a worker sees it when it imports the module that calls
    this. Raises ``ValueError`` where the name is taken by another factory."""
    if name in _BUILT_IN or _registered.get(name, factory) is not factory:
        raise ValueError(f"a backend named '{name}' exists already; register yours under another")
    _registered[name] = factory


def names() -> tuple[str, ...]:
    """Every known name: the built-in backends first, then those of other distributions and
    those registered, in alphabetical order. Importable or not, available or not."""
    return (*_BUILT_IN, *sorted({*_registered, *_entry_points()}))


def create(name: str) -> Backend:
    """The backend of this name, untouched: see :meth:`Backend.availability` before use.

    Raises ``UnknownBackendError`` for a name that nobody gave, and whatever the import of
    another distribution's backend raises.
    """
    if name in _BUILT_IN:
        module, _, member = _BUILT_IN[name].partition(":")
        backend: Backend = getattr(import_module(module, __package__), member)()
        return backend
    if name in _registered:
        return _registered[name]()
    entry_points = _entry_points()
    if name in entry_points:
        made: Backend = entry_points[name].load()()
        return made
    raise UnknownBackendError(name, names())


def availabilities() -> dict[str, Availability]:
    """What each known backend says about this machine. A backend of another distribution that
    can't even be imported is unavailable, for the reason its import gave."""
    found: dict[str, Availability] = {}
    for name in names():
        try:
            found[name] = create(name).availability()
        except Exception as error:
            if name in _BUILT_IN:
                raise
            found[name] = Availability(
                available=False,
                reason=f"the backend's own code fails: {type(error).__name__}: {error}",
                mend="mend or uninstall the distribution that provides it",
            )
    return found


def _entry_points() -> dict[str, metadata.EntryPoint]:
    points = {point.name: point for point in metadata.entry_points(group=ENTRY_POINT_GROUP)}
    for name in points.keys() & _BUILT_IN.keys():
        raise ValueError(
            f"entry point '{points[name].value}' of group {ENTRY_POINT_GROUP} is named '{name}', "
            "like a built-in backend: rename it or uninstall its distribution"
        )
    return points
