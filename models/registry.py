"""The families of workloads by name: the built-in ones, and those that a user registered."""

from __future__ import annotations

import difflib
import importlib

from .family import Family

#: One module in models/costs/ each, with its constant FAMILY; the order is the order of lists.
BUILTIN_NAMES = (
    "matmul",
    "memory",
    "elementwise",
    "reduction",
    "softmax",
    "norm",
    "attention",
    "conv2d",
    "embedding",
    "cache_append",
    "cross_entropy",
    "mlp",
    "mlp_training",
    "decoder",
    "mixture",
    "encoder",
    "vit",
    "resnet",
    "dit",
)

#: Families without configurations of their own: a model of the user's comes in the parameters.
#: They are no part of any list.
OPEN_NAMES = ("module", "hf")

_registered: dict[str, Family] = {}


def builtin_families() -> tuple[Family, ...]:
    """The families that come with the package. Imports no torch."""
    return tuple(_builtin(name) for name in BUILTIN_NAMES)


def families() -> tuple[Family, ...]:
    """The built-in families, then the registered ones in the order of registration."""
    return builtin_families() + tuple(_registered.values())


def family(name: str) -> Family:
    """The family of that name; ``KeyError`` with the known names and the nearest one."""
    if name in BUILTIN_NAMES or name in OPEN_NAMES:
        return _builtin(name)
    if name in _registered:
        return _registered[name]
    known = (*BUILTIN_NAMES, *_registered)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f". Did you mean '{near[0]}'?" if near else ""
    raise KeyError(f"unknown workload '{name}'; known: {', '.join(known)}{hint}")


def register(family: Family) -> None:
    """Add a user's family. Registering an equal one again does nothing, since a module may be
    imported twice; another of the same name is refused with a ``ValueError``, and so is one
    whose configurations share a name."""
    if family.name in BUILTIN_NAMES or family.name in OPEN_NAMES:
        raise ValueError(
            f"workload '{family.name}' comes with trnbench; register yours under another name"
        )
    known = _registered.get(family.name)
    if known is not None and known != family:
        raise ValueError(
            f"workload '{family.name}' is registered already, by {known.program}, and now by "
            f"{family.program}; give one of them another name"
        )
    names = [configuration.name for configuration in family.configurations]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"workload '{family.name}' has two configurations named {', '.join(twice)}; "
            "each needs a name of its own"
        )
    _registered[family.name] = family


def _builtin(name: str) -> Family:
    module = importlib.import_module(f".costs.{name}", __package__)
    found = module.FAMILY
    if not isinstance(found, Family) or found.name != name:
        raise TypeError(f"{module.__name__}.FAMILY must be the Family named '{name}'")
    return found
