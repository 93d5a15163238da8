"""Where Neuron hardware and software is looked for, and the plain record of what was found."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Self

from .installation import find_version
from .neuron_ls import ListedDevice
from .neuron_stack import Stack

#: Where the machine's own "/" is found: for a container that has it mounted elsewhere, and tests.
ROOT_VARIABLE = "TRNBENCH_NEURON_ROOT"


def find_versions(distribution: str) -> tuple[str, ...]:
    """Version of every copy of a distribution on the path: an environment can hold several."""
    return tuple(found.version for found in metadata.distributions(name=distribution))


def find_requires_python(distribution: str) -> str | None:
    """The Python versions that an installed distribution asks for, as ">=3.12,<3.15"."""
    try:
        stated = metadata.metadata(distribution).get_all("Requires-Python")
    except metadata.PackageNotFoundError:
        return None
    return str(stated[0]) if stated else None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where to look. Device files, sysfs, packages and tools are read below ``root``."""

    root: Path
    version_of: Callable[[str], str | None]
    environ: Mapping[str, str]
    python: tuple[int, int]
    requires_python_of: Callable[[str], str | None]
    versions_of: Callable[[str], tuple[str, ...]] = field(default=lambda _: ())

    @classmethod
    def here(cls) -> Self:
        return cls(
            root=Path(os.environ.get(ROOT_VARIABLE) or "/"),
            version_of=find_version,
            environ=os.environ,
            python=sys.version_info[:2],
            requires_python_of=find_requires_python,
            versions_of=find_versions,
        )


@dataclass(frozen=True, slots=True)
class NeuronSetup:
    """What was found; ``None`` for what nothing told, with the reason in ``notes`` where
    something ought to have.

    ``version`` is torch-neuronx's, ``versions`` those of all distributions of the stacks and
    ``all_versions`` those of every torch-neuronx on the path. ``devices`` are device files, of
    which this user may not use those in ``closed``. ``device_name`` is "Trainium2" as sysfs says,
    or as the instance type tells; sysfs knows the family ("Trn2"), never the instance's size.
    ``cores_present`` are logical cores on all devices, ``physical_cores`` physical ones, and
    ``lnc`` of these make one of those. ``memory_bytes`` is one device's. ``driver`` is the one
    that is loaded. ``listed`` is ``None`` where neuron-ls could not be asked.
    """

    stack: Stack
    version: str | None
    versions: Mapping[str, str]
    all_versions: tuple[str, ...]
    python: tuple[int, int]
    requires_python: str | None
    environ: Mapping[str, str]
    devices: tuple[str, ...]
    closed: tuple[str, ...]
    device_name: str | None
    instance_family: str | None
    instance_type: str | None
    lnc: int | None
    lnc_source: str
    cores_present: int | None
    physical_cores: int | None
    memory_bytes: int | None
    driver: str | None
    runtime: str | None
    runtime_source: str
    packages: Mapping[str, str]
    sdk: str | None
    listed: tuple[ListedDevice, ...] | None
    notes: tuple[str, ...]
