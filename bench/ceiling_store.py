"""Stored ceilings: one file for each machine, backend and number of threads, beside the runs."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ..results.store import make_folder
from ..specs.attained import AttainedCeiling
from .defaults import DEFAULT_OUT
from .errors import UsageError

#: More than any ceiling takes on the disk.
PROBE_BYTES = 2**16


class CeilingError(UsageError):
    """A stored ceiling that can't be read, or one that can't be stored: names the file."""


def ceiling_path(out: Path, machine: str, backend: str, threads: int | None) -> Path:
    """``ceiling-cpu-4f2a9c1b77aa-t2.json``; without the threads where a device has none."""
    suffix = "" if threads is None else f"-t{threads}"
    return out / f"ceiling-{backend}-{machine}{suffix}.json"


def prepare_folder(out: Path) -> None:
    """Make the folder, and see that a ceiling can be written there, before one is measured.

    Raises ``CeilingError`` where it can't.
    """
    probe = out / f"ceiling-{secrets.token_hex(4)}.draft"
    try:
        make_folder(out)
        try:
            _write(probe, " " * PROBE_BYTES)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from error


def store_ceiling(out: Path, ceiling: AttainedCeiling) -> Path:
    """Write it in place of an older one. Readers see the old file or the new one, whole.

    Raises ``CeilingError`` where it can't be written.
    """
    path = ceiling_path(out, ceiling.machine, ceiling.backend, ceiling.threads)
    draft = path.with_suffix(f".{secrets.token_hex(4)}.draft")
    text = ceiling.to_json() + "\n"
    try:
        out.mkdir(parents=True, exist_ok=True)
        try:
            _write(draft, text)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _unwritable(path: Path, error: OSError) -> CeilingError:
    return CeilingError(
        f"{path}: no ceiling can be stored there ({error.strerror}); name a folder that can be "
        "written with --out"
    )


def load_ceiling(path: Path) -> AttainedCeiling:
    """Raises ``CeilingError`` for a file that can't be read or holds no ceiling."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CeilingError(f"{path}: can't be read: {error}") from error
    try:
        # Types and names of fields first, so that a message can name the field; then values.
        TypeAdapter(AttainedCeiling).validate_json(text)
        return AttainedCeiling.from_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        what = f"field '{field}': {first['msg']}" if field else str(first["msg"])
        if first["type"] not in {"missing", "json_invalid"}:
            what += f" ({first['input']!r:.60} given)"
        raise _broken(path, what) from error
    except ValueError as error:
        raise _broken(path, str(error)) from error


def _broken(path: Path, what: str) -> CeilingError:
    return CeilingError(f"{path}: {what}; remove it or measure again with: trnbench ceiling")


def find_ceiling(
    out: Path, machine: str, backend: str, threads: int | None, torch_version: str
) -> AttainedCeiling | None:
    """The ceiling that applies, or ``None``: :func:`explain_absence` says why.

    Raises ``CeilingError`` where there is a file and it is broken.
    """
    path = ceiling_path(out, machine, backend, threads)
    if not path.exists():
        return None
    ceiling = load_ceiling(path)
    return None if _misfits(ceiling, machine, backend, threads, torch_version) else ceiling


def explain_absence(
    out: Path, machine: str, backend: str, threads: int | None, torch_version: str
) -> str:
    """Why :func:`find_ceiling` finds none, and what to do; "" where it finds one."""
    path = ceiling_path(out, machine, backend, threads)
    mend = f"measure one with: trnbench ceiling --backend {backend}" + (
        "" if threads is None else f" --threads {threads}"
    )
    mend += "" if out == DEFAULT_OUT else f" --out {out}"
    if path.exists():
        misfits = _misfits(load_ceiling(path), machine, backend, threads, torch_version)
        return f"the stored ceiling doesn't apply: {misfits}; {mend}" if misfits else ""
    if others := threads_stored(out, machine, backend):
        counts = ", ".join(map(str, others))
        return f"a ceiling is stored for {counts} threads, and not for {threads}; {mend}"
    return f"no ceiling of this machine is stored beside its runs; {mend}"


def threads_stored(out: Path, machine: str, backend: str) -> list[int]:
    """Numbers of threads for which this machine's ceilings are stored."""
    stem = f"ceiling-{backend}-{machine}-t"
    counts = [path.stem.removeprefix(stem) for path in out.glob(f"{stem}*.json")]
    return sorted(int(count) for count in counts if count.isdigit())


def _misfits(
    ceiling: AttainedCeiling,
    machine: str,
    backend: str,
    threads: int | None,
    torch_version: str,
) -> str:
    """What the ceiling was measured with, where that isn't what is asked for."""
    pairs = (
        ("machine", ceiling.machine, machine),
        ("backend", ceiling.backend, backend),
        ("threads", ceiling.threads, threads),
        ("torch", ceiling.torch, torch_version),
    )
    return ", ".join(
        f"measured with {name} {found}, and here it is {wanted}"
        for name, found, wanted in pairs
        if found != wanted
    )
