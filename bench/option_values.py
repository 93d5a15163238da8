"""What the values of a run's options may be: one reading for the command line and for pytest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..backends.neuron_cores import parse_cores
from ..backends.threads import default_threads
from ..models.family import DTYPES, PRESETS
from .errors import UsageError, unknown
from .options import (
    DEFAULT_BUDGET_S,
    DEFAULT_OUT,
    DEFAULT_PRESET,
    DEFAULT_PROCESSES,
    DEFAULT_TIMEOUT_S,
    RunOptions,
)
from .selection import MODES

GIB = 2**30
LNC = ("1", "2")
CACHES = ("kept", "fresh")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionTexts:
    """The options of a run as they were typed; each field is called as its option is. What a
    command doesn't offer is at its default."""

    backend: Sequence[str] = ()
    preset: str = DEFAULT_PRESET
    dtype: Sequence[str] = ()
    mode: Sequence[str] = ()
    processes: str = str(DEFAULT_PROCESSES)
    budget: str = str(DEFAULT_BUDGET_S)
    timeout: str = str(DEFAULT_TIMEOUT_S)
    memory_limit: str | None = None
    threads: str | None = None
    tf32: bool = False
    cores: str | None = None
    lnc: str | None = None
    cache: str = "kept"
    chip_file: Sequence[str] = ()
    load: Sequence[str] = ()
    label: str = ""
    out: str = str(DEFAULT_OUT)
    resume: str | None = None


def read_options(texts: OptionTexts, prefix: str, here: Path) -> RunOptions:
    """What was asked for. ``prefix`` is what the options begin with ("--" or "--bench-"), for
    messages; a relative folder is taken from ``here``.

    Raises ``UsageError`` for a value that can't be meant: what was given, what was wanted.
    """
    return RunOptions(
        backends=split_names(texts.backend),
        preset=_known(prefix, "preset", [texts.preset], PRESETS)[0],
        dtypes=_known(prefix, "dtype", split_names(texts.dtype), DTYPES),
        modes=_known(prefix, "mode", split_names(texts.mode), MODES),
        processes=read_count(f"{prefix}processes", texts.processes),
        budget_s=read_positive(f"{prefix}budget", texts.budget, "seconds"),
        timeout_s=read_positive(f"{prefix}timeout", texts.timeout, "seconds"),
        memory_limit_bytes=None
        if texts.memory_limit is None
        else max(1, int(read_positive(f"{prefix}memory-limit", texts.memory_limit, "GiB", GIB))),
        threads=default_threads()
        if texts.threads is None
        else read_count(f"{prefix}threads", texts.threads),
        allow_tf32=texts.tf32,
        cores=None if texts.cores is None else read_cores(f"{prefix}cores", texts.cores),
        lnc=None if texts.lnc is None else int(_known(prefix, "lnc", [texts.lnc], LNC)[0]),
        cache=_known(prefix, "cache", [texts.cache], CACHES)[0],
        chip_files=read_chip_files(f"{prefix}chip-file", texts.chip_file, here),
        load=split_names(texts.load),
        label=texts.label,
        out=read_folder(f"{prefix}out", texts.out, here),
        resume=texts.resume,
    )


def split_names(given: Iterable[str]) -> tuple[str, ...]:
    """``["cpu,cuda", "xla"]`` as ``("cpu", "cuda", "xla")``, each once."""
    parts = (part.strip() for value in given for part in value.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def read_count(option: str, given: str) -> int:
    try:
        count = int(given)
    except ValueError:
        count = 0
    if count < 1:
        raise UsageError(f"{option}: '{given}' given, a whole number of 1 or more wanted")
    return count


def read_cores(option: str, given: str) -> str:
    """The cores as they were given, without blanks."""
    try:
        parse_cores(given)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    return "".join(given.split())


def read_positive(option: str, given: str, unit: str, scale: float = 1) -> float:
    """The number, times ``scale``; both are finite and above 0."""
    try:
        value = float(given) * scale
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise UsageError(
            f"{option}: '{given}' given, a number of {unit} above 0 wanted, such as {option} 2.5"
        )
    return value


def read_chip_files(option: str, given: Sequence[str], here: Path) -> tuple[Path, ...]:
    """Files of chips that the catalog can stand beside its own; a relative one is taken from
    ``here``."""
    from ..specs.catalog import load_catalog
    from ..specs.figure import CatalogError

    files = tuple(dict.fromkeys(here / name for name in given))
    if not files:
        return ()
    try:
        catalog = load_catalog(extra=files)
        for chip_id in catalog.chip_ids:
            catalog.chip(chip_id)
    except CatalogError as error:
        raise UsageError(f"{option}: {error}") from error
    return files


def read_folder(option: str, given: str, here: Path) -> Path:
    """The folder, which needn't be there yet; a relative one is taken from ``here``."""
    folder = here / given
    try:
        is_file = folder.exists() and not folder.is_dir()
    except OSError as error:
        raise UsageError(f"{option}: '{given}': {error.strerror}; name another folder") from error
    if is_file:
        raise UsageError(f"{option}: '{given}' is a file, a folder wanted; name another")
    return folder


def _known(prefix: str, kind: str, given: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    for name in given:
        if name not in known:
            raise UsageError(f"{prefix}{kind}: {unknown(kind, name, known)}")
    return tuple(given)
