"""A run as a page takes it: its records, what to call it, and what to know about the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..moments import names_zone, read_moment
from ..record import Record, Status
from .text import name


@dataclass(frozen=True, slots=True)
class PageRun:
    """``file`` is the name of the run's file, without its folder. ``records`` are all of real
    devices or all simulated. ``notices`` say what reading left out."""

    file: str
    records: Sequence[Record]
    notices: Sequence[str] = ()

    @property
    def title(self) -> str:
        """What the user called the run, else its id or file; the device where it is the one thing
        that published figures have in common."""
        if not self.records:
            return name(self.file)
        first = self.records[0]
        if first.origin == "published":
            return self.devices[0] if len(self.devices) == 1 else name(self.file)
        return name(first.label or first.run)

    @property
    def time(self) -> str:
        """When the first of its cases was measured or published, as a person writes it."""
        return format_time(min((record.time for record in self.records), default=""))

    @property
    def ok(self) -> list[Record]:
        """The records with a result."""
        return [record for record in self.records if record.status is Status.OK]

    @property
    def devices(self) -> list[str]:
        """What the devices call themselves."""
        named = (record.device.name for record in self.records if record.device)
        return [name(one) for one in dict.fromkeys(named)]

    @property
    def origins(self) -> list[str]:
        """Where the figures come from: measured, published or simulated; mostly one."""
        return sorted({record.origin for record in self.records})


def format_time(time: str) -> str:
    """``2026-11-26 08:36 UTC`` of a moment; what isn't one, such as a month, as it stands."""
    try:
        moment = read_moment(time)
    except ValueError:
        return name(time)
    return f"{moment:%Y-%m-%d %H:%M} UTC" if names_zone(time) else name(time)


def titles(runs: Sequence[PageRun]) -> list[str]:
    """A title for each run, told apart by letters where two are the same."""
    given = [run.title for run in runs]
    return [
        f"{title} ({'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[i % 26]})" if given.count(title) > 1 else title
        for i, title in enumerate(given)
    ]
