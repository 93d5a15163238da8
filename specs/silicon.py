"""Units of silicon: which part of a chip one torch device is, and its figures.

torch sees devices, a data sheet describes chips. Shares are computed here and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .catalog import Chip
from .figure import CatalogError, Figure


@dataclass(frozen=True, slots=True)
class DeviceShare:
    """One torch device of a chip in one mode.

    ``share`` is its part of the chip, ``cores`` the physical cores in it (None where the
    catalog has no count of cores, as for GPUs).
    """

    chip: str
    mode: str
    per_chip: int
    share: float
    cores: int | None
    memory_bytes: float
    memory_bytes_per_s: float


def device_share(chip: Chip, mode: str | None = None) -> DeviceShare:
    """What one torch device of ``chip`` is in ``mode``; by default in the chip's default mode.

    Raises ``CatalogError`` where the catalog doesn't say how many devices the chip shows, and
    for a mode that it doesn't list.
    """
    if not chip.devices:
        raise CatalogError(
            f"chip '{chip.id}': the catalog doesn't say how many torch devices it shows; "
            f"add a [[device]] table with its source to chips/{chip.id}.toml"
        )
    for device in chip.devices:
        if device.mode == mode or (mode is None and device.default):
            share = 1 / device.per_chip
            return DeviceShare(
                chip=chip.id,
                mode=device.mode,
                per_chip=device.per_chip,
                share=share,
                cores=cores_of_share(chip, share),
                memory_bytes=part_of(_memory(chip, "capacity"), share),
                memory_bytes_per_s=part_of(_memory(chip, "bandwidth"), share),
            )
    known = ", ".join(device.mode for device in chip.devices)
    raise CatalogError(f"chip '{chip.id}': unknown mode '{mode}'; known: {known}")


def cores_of_share(chip: Chip, share: float) -> int | None:
    """Physical cores in ``share`` of the chip; None where the catalog has no count of cores, or
    the share isn't a whole number of them."""
    check_share(share)
    physical = chip.figure("cores", "physical")
    if physical is None:
        return None
    cores = physical.si * share
    whole = round(cores)
    return whole if whole >= 1 and math.isclose(cores, whole, rel_tol=1e-9) else None


def part_of(figure: Figure, share: float) -> float:
    """A figure of the whole chip in SI base units, times ``share``."""
    check_share(share)
    return figure.si * share


def check_share(share: float) -> None:
    """Raises ``ValueError`` for a share that is no part of a chip."""
    if not 0 < share <= 1:
        raise ValueError(f"share of a chip is {share!r}; wanted more than 0 and at most 1")


def _memory(chip: Chip, name: str) -> Figure:
    figure = chip.figure("memory", name)
    if figure is None:  # the loader refuses such a file
        raise CatalogError(f"chip '{chip.id}', field 'memory.{name}': nothing; wanted a figure")
    return figure
