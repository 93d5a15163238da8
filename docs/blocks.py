"""Blocks of a docs page whose content a command prints.

A fenced block whose first line is ```` ```text $ trnbench specs lint ```` holds what that command
prints, at a width of 110 columns and without colour. ``python docs/blocks.py`` writes them anew in
every page of docs/, and tests/unit/test_docs_blocks.py holds the pages to what the commands print
now. Only ``trnbench`` runs, and without a shell.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"^```text \$ (?P<command>.+)\n(?P<content>(?:(?!```).*\n)*)```$", re.MULTILINE)
_TIMEOUT_S = 60


def find_blocks(text: str) -> list[tuple[str, str]]:
    """(command, content) of each such block of a page."""
    return [(found["command"], found["content"]) for found in _BLOCK.finditer(text)]


def run_command(command: str) -> str:
    """What ``command`` prints, whatever it exits with, from docs/. ``ValueError`` for another
    program than trnbench."""
    program, *arguments = shlex.split(command)
    if program != "trnbench":
        raise ValueError(f"block of '{command}': '{program}' given; wanted trnbench")
    environment = {**os.environ, "COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-m", "trnbench", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=DOCS,
        timeout=_TIMEOUT_S,
        check=False,
    )
    lines = (done.stdout + done.stderr).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def refresh(text: str) -> str:
    """The page with every block as its command prints it now."""
    return _BLOCK.sub(
        lambda found: f"```text $ {found['command']}\n{run_command(found['command'])}```", text
    )


def main() -> None:
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if find_blocks(text):
            page.write_text(refresh(text), encoding="utf-8")


if __name__ == "__main__":
    main()
