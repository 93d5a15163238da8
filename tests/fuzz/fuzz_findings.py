"""What was found: for each place that raised, the smallest file that makes it raise."""

from __future__ import annotations

import hashlib
import tempfile
import traceback
from pathlib import Path

import fuzz_seeds
import fuzz_targets

ROOT = Path(__file__).parents[2]


class Findings:
    """Gives files to one target and keeps those with a surprise under ``folder``, one for each
    kind of error and line of ours that it came through. ``executions`` counts the files."""

    def __init__(self, target: str, folder: Path) -> None:
        self.executions = 0
        self._target = fuzz_targets.TARGETS[target]
        self._folder = folder
        self._place = tempfile.TemporaryDirectory(prefix=f"fuzz-{target}-")
        fuzz_seeds.write_known(Path(self._place.name))

    def try_out(self, content: bytes) -> None:
        self.executions += 1
        try:
            fuzz_targets.check(self._target, content, Path(self._place.name))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
            self._keep(content, error)

    def _keep(self, content: bytes, error: Exception) -> None:
        where = _line_of_ours(error)
        key = hashlib.blake2b(f"{type(error).__name__} {where}".encode(), digest_size=5).hexdigest()
        path = self._folder / f"{self._target.name}-{key}{self._target.suffix}"
        if path.exists() and path.stat().st_size <= len(content):
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        said = "".join(traceback.format_exception(error))
        path.with_name(f"{path.name}.why").write_text(
            f"{type(error).__name__} in {where}\n\n{said}", encoding="utf-8", errors="replace"
        )


def _line_of_ours(error: Exception) -> str:
    """The innermost line of the package that the error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        f for f in frames if Path(f.filename).is_relative_to(ROOT) and ".venv" not in f.filename
    ]
    last = ours[-1] if ours else frames[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
