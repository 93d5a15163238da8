"""What a run was asked to do: one frozen object, made once from the command line or pytest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..backends.protocol import Settings
from .defaults import (
    DEFAULT_BUDGET_S,
    DEFAULT_OUT,
    DEFAULT_PRESET,
    DEFAULT_PROCESSES,
    DEFAULT_TIMEOUT_S,
)

if TYPE_CHECKING:
    from ..specs.catalog import Catalog

__all__ = [
    "DEFAULT_BUDGET_S",
    "DEFAULT_OUT",
    "DEFAULT_PRESET",
    "DEFAULT_PROCESSES",
    "DEFAULT_TIMEOUT_S",
    "RunOptions",
]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run.

    - ``backends``: names; empty means every backend that is available here.
    - ``preset``: "quick", "standard" or "full".
    - ``dtypes``, ``modes``: keep only these; empty means all of the preset.
    - ``processes``: worker processes, each of which measures the whole selection.
    - ``budget_s``: seconds of measuring for one case in one process, both regimes together.
    - ``timeout_s``: wall limit of one case in one process, everything included.
    - ``memory_limit_bytes``: resident size at which a worker is ended; ``None`` is 60 % of
      what was available when the run began.
    - ``threads``: CPU threads of torch's operators; ``None`` leaves torch its own default. What
      a person doesn't state is ``backends.threads.default_threads``.
    - ``cores``, ``lnc``: see ``backends.protocol.Settings``.
    - ``cache``: "kept" leaves compile caches as they are; "fresh" gives the run caches of its
      own, empty at first: the first process compiles cold, the others find what it made.
    - ``chip_files``: files of chips of one's own, beside the catalog's.
    - ``load``: modules to import that register workloads or backends.
    - ``out``: the folder of the run's files.
    - ``resume``: ``None``, or the run to go on with ("" is the newest unfinished one).
    """

    backends: tuple[str, ...] = ()
    preset: str = DEFAULT_PRESET
    dtypes: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    processes: int = DEFAULT_PROCESSES
    budget_s: float = DEFAULT_BUDGET_S
    timeout_s: float = DEFAULT_TIMEOUT_S
    memory_limit_bytes: int | None = None
    threads: int | None = None
    allow_tf32: bool = False
    cores: str | None = None
    lnc: int | None = None
    cache: str = "kept"
    chip_files: tuple[Path, ...] = ()
    load: tuple[str, ...] = ()
    label: str = ""
    out: Path = DEFAULT_OUT
    resume: str | None = None

    def catalog(self) -> Catalog:
        """The catalog that the run's devices are held against. Raises ``CatalogError``."""
        from ..specs.catalog import load_catalog

        return load_catalog(extra=self.chip_files)

    def settings(self) -> Settings:
        """What of it the backends read."""
        return Settings(
            threads=self.threads, allow_tf32=self.allow_tf32, cores=self.cores, lnc=self.lnc
        )
