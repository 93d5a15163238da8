"""Commands whose reader has read enough, as ``head`` does, or whose disk is full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: A file that is never written: "no space left on device".
FULL = Path("/dev/full")


@pytest.fixture
def run(make, tmp_path):
    path = tmp_path / "20261122T021733Z-4f2a9c.jsonl"
    records = [make.record(make.case(configuration=f"c{n}", params={"n": n})) for n in range(9)]
    path.write_text("".join(f"{record.model_dump_json()}\n" for record in records))
    return path


def command(*arguments, stdout, stderr=subprocess.PIPE, **environment):
    return subprocess.run(
        [sys.executable, "-m", "trnbench", *map(str, arguments)],
        stdout=stdout,
        stderr=stderr,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        (("--version",), ""),
        (("list",), ""),
        (("show", "RUN"), ""),
        (("show", "RUN", "--json"), "1"),
        (("export", "RUN", "--to", "csv"), ""),
        (("export", "RUN", "--to", "csv"), "1"),
        (("diff", "RUN", "RUN", "--fail-on", "failing"), ""),
        (("validate", "RUN"), "1"),
    ],
)
def test_a_reader_that_went_is_no_mistake(run, arguments, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)

    done = command(
        *(run if word == "RUN" else word for word in arguments),
        stdout=writer,
        PYTHONUNBUFFERED=unbuffered,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("list",),
        ("show", "RUN"),
        ("export", "RUN", "--to", "csv"),
        ("diff", "RUN", "RUN", "--json"),
    ],
)
def test_a_full_disk_is_one_message(run, arguments):
    with FULL.open("w") as full:
        done = command(*(run if word == "RUN" else word for word in arguments), stdout=full)

    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "No space left on device; what was written to it is incomplete" in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_messages_that_nobody_reads_change_no_exit_code(run, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)

    done = command(
        *("diff", run, run, "--limit", "latency_ms < 0.1"),
        stdout=subprocess.PIPE,
        stderr=writer,
        PYTHONUNBUFFERED=unbuffered,
    )
    os.close(writer)

    assert done.returncode == 14
    assert "9 common" in done.stdout


def test_the_gate_s_exit_code_is_told_to_who_reads_it_all(run):
    done = command("diff", run, run, "--limit", "latency_ms < 0.1", stdout=subprocess.PIPE)

    assert done.returncode == 14
    assert "9 common" in done.stdout


def test_without_standard_output_at_all_a_command_still_ends():
    code = "import sys; sys.stdout = None; from trnbench.bench.cli import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
