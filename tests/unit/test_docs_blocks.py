"""What docs pages say that a command prints is what it prints."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def load_blocks():
    spec = importlib.util.spec_from_file_location("docs_blocks", DOCS / "blocks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


blocks = load_blocks()
PRINTED = [
    pytest.param(page, command, content, id=f"{page.relative_to(DOCS)}: {command}")
    for page in sorted(DOCS.rglob("*.md"))
    for command, content in blocks.find_blocks(page.read_text(encoding="utf-8"))
]


def test_the_catalogs_page_has_such_blocks():
    assert sum(param.values[0].name == "catalog.md" for param in PRINTED) >= 5


@pytest.mark.parametrize(("page", "command", "content"), PRINTED)
def test_a_block_holds_what_its_command_prints(page, command, content):
    assert blocks.run_command(command) == content, f"{page.name} is stale: run make docs"


def test_a_stale_block_is_written_anew_and_the_rest_is_left():
    page = "Before\n\n```text $ trnbench --version\nstale\n```\n\n```toml\na = 1\n```\n"

    written = blocks.refresh(page)

    assert written.startswith("Before\n\n```text $ trnbench --version\ntrnbench ")
    assert "stale" not in written
    assert written.endswith("\n```\n\n```toml\na = 1\n```\n")


def test_no_other_program_is_run():
    with pytest.raises(ValueError, match="'rm' given; wanted trnbench"):
        blocks.run_command("rm -r docs")
