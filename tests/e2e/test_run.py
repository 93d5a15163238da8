"""Whole runs through the real command line: real crashes, hangs, memory eaters, kills."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
#: Whether a good case ends OK or NOT_STEADY is the machine's doing; both are measured to the end.
MEASURED = {"OK", "NOT_STEADY"}
FAULTS = {
    "crash": "CRASHED",
    "hang": "TIMEOUT",
    "devour": "OUT_OF_MEMORY",
    "raise": "RUNTIME_ERROR",
    "spoil": "NUMERIC_MISMATCH",
}
LIMITS = ("--timeout", "10", "--memory-limit", "3", "--threads", "1", "--budget", "0.05")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(HERE / "faulty_workloads.py", tmp_path)
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "trnbench", *arguments]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def records(folder: Path) -> list[dict]:
    (path,) = (folder / "results" / "runs").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def by_configuration(found: list[dict]) -> dict[str, dict]:
    return {record["case"]["configuration"]: record for record in found}


def test_every_fault_is_a_typed_record_and_the_others_go_on(folder):
    done = run(
        folder, "run", "good[", "faulty[", "--load", "faulty_workloads", "--processes", "1", *LIMITS
    )

    found = by_configuration(records(folder))
    assert len(found) == 10
    good = {name: found[name]["status"] for name in found if name.startswith("good-")}
    assert len(good) == 5
    assert set(good.values()) <= MEASURED
    assert {name: found[name]["status"] for name in FAULTS} == FAULTS
    assert all(found[name]["summary"]["sustained"]["value"] > 0 for name in good)
    assert done.returncode == 1, done.stderr
    # One paste away from public: no path of this machine in what is stored.
    (stored,) = (folder / "results" / "runs").glob("*.jsonl")
    assert not [
        path for path in (folder, sys.prefix, Path.home()) if str(path) in stored.read_text()
    ]
    assert not list((folder / "results" / "runs").glob("*.partial"))
    assert "SIGSEGV" in found["crash"]["failure"]["message"]
    assert "on purpose" in found["raise"]["failure"]["message"]
    assert found["spoil"]["numeric"]["error"] is None
    assert found["spoil"]["summary"] is None


@pytest.mark.slow
def test_a_fault_in_the_reference_is_typed_and_takes_nothing_else_with_it(folder):
    run(folder, "run", "good[", "early[", "--load", "faulty_workloads", "--processes", "1", *LIMITS)

    found = by_configuration(records(folder))
    assert len(found) == 10
    assert {name: found[name]["status"] for name in FAULTS} == FAULTS
    assert {found[f"good-{i}"]["status"] for i in range(5)} <= MEASURED


def test_a_crash_is_seen_at_once_though_a_child_holds_the_pipe(folder):
    run(folder, "run", "left-behind[", "--load", "faulty_workloads", "--processes", "1", *LIMITS)

    (record,) = records(folder)
    assert record["status"] == "CRASHED"
    assert "SIGSEGV" in record["failure"]["message"]


def test_an_interrupt_keeps_what_was_measured(folder):
    # Many processes: the interrupt comes while cases are measured, wherever their order puts them.
    arguments = ("run", "good[", "--load", "faulty_workloads", "--processes", "40", *LIMITS)
    with _started(folder, *arguments) as process:
        journal = _wait_for_outcomes(folder, least=1)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "Traceback" not in words
    assert len(_outcomes(journal)) >= 1


def test_an_interrupt_ends_a_worker_that_hangs(folder):
    arguments = ("run", "faulty[hang", "--load", "faulty_workloads", "--processes", "1", *LIMITS)
    with _started(folder, *arguments, "--timeout", "600") as process:
        worker = _wait_for_worker(process.pid)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "Traceback" not in words
    assert not _is_alive(worker)


def test_a_wrong_output_is_a_mismatch_with_the_size_of_its_error(folder):
    done = run(folder, "run", "wrong[", "--load", "faulty_workloads", "--processes", "1", *LIMITS)

    (record,) = records(folder)
    assert record["status"] == "NUMERIC_MISMATCH"
    assert record["numeric"]["error"] == pytest.approx(0.01, rel=1e-3)
    assert record["numeric"]["error"] > record["numeric"]["bound"]
    assert done.returncode == 1


def test_a_killed_run_is_taken_up_again_and_nothing_is_measured_twice(folder):
    arguments = ("run", "good[", "--load", "faulty_workloads", "--processes", "2", *LIMITS)
    with _started(folder, *arguments) as first:
        journal = _wait_for_outcomes(folder, least=3)
        os.kill(first.pid, signal.SIGKILL)
    before = _outcomes(journal)

    done = run(folder, *arguments, "--resume", "")

    assert done.returncode in (0, 1), done.stderr
    found = records(folder)
    assert sorted(r["case"]["configuration"] for r in found) == [f"good-{i}" for i in range(5)]
    assert all({p["process"] for p in r["processes"]} == {0, 1} for r in found)
    assert all(len(r["processes"]) == 2 for r in found)
    kept = {
        (r["case"]["configuration"], p["process"]): p["sustained"]["wall_ns"]
        for r in found
        for p in r["processes"]
    }
    assert len(before) >= 3
    for case, samples in before.items():
        assert kept[case] == samples
    assert not journal.exists()


def test_a_run_is_not_taken_up_with_other_options(folder):
    arguments = ("run", "good[", "--load", "faulty_workloads", "--processes", "2", *LIMITS)
    with _started(folder, *arguments) as first:
        _wait_for_outcomes(folder, least=1)
        os.kill(first.pid, signal.SIGKILL)

    done = run(folder, *arguments, "--processes", "3", "--resume", "")

    assert done.returncode == 4
    assert "processes: 2 then, 3 now" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_parent_leaves_no_worker_behind(folder):
    arguments = ("run", "hang", "--load", "faulty_workloads", "--processes", "1", *LIMITS)
    with _started(folder, *arguments, "--timeout", "600") as first:
        worker = _wait_for_worker(first.pid)
        os.kill(first.pid, signal.SIGKILL)

    deadline = time.monotonic() + 30
    while _is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_alive(worker)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--backend", "cudaa"), ("unknown backend 'cudaa'", "Did you mean 'cuda'?")),
        (("run", "--preset", "quik"), ("unknown preset 'quik'", "Did you mean 'quick'?")),
        (("run", "--dtype", "fp64"), ("unknown dtype 'fp64'", "fp32")),
        (("run", "--budget", "-1"), ("--budget: '-1' given", "above 0")),
        (("run", "--budget", "nan"), ("--budget: 'nan' given", "seconds above 0")),
        (("run", "--timeout", "inf"), ("--timeout: 'inf' given", "seconds above 0")),
        (("run", "--memory-limit", "-1"), ("--memory-limit: '-1' given", "GiB above 0")),
        (("run", "--processes", "0"), ("--processes: '0' given", "1 or more")),
        (("run", "--threads", "two"), ("--threads: 'two' given", "1 or more")),
        (("run", "--backend", "cpu,cudaa"), ("unknown backend 'cudaa'",)),
        (("run", "--dtype", "fp32,fp64"), ("unknown dtype 'fp64'",)),
        (("run", "--load", "json,no_such_module"), ("module 'no_such_module'",)),
        (("run", "--out", "file.txt"), ("--out: 'file.txt' is a file", "folder wanted")),
        (("run", "--out", "long" * 100), ("--out: 'long", "name another folder")),
        (("run", "matmul", "--resume"), ("no unfinished run in",)),
        (("run", "--resume", "--preset", "quick"), ("no unfinished run in",)),
        (("ceiling", "--backend", "cpu,cudaa"), ("unknown backend 'cudaa'",)),
        (("ceiling", "--threads", "0"), ("--threads: '0' given", "1 or more")),
        (("ceiling", "--out", "file.txt"), ("--out: 'file.txt' is a file", "folder wanted")),
        (("ceiling", "--out", "file.txt/runs"), ("no ceiling can be stored", "--out")),
        (("run", "--load", "no_such_module"), ("no_such_module", "--bench-load")),
        (("run", "--resume", "nothing"), ("nothing",)),
        (("show", "nowhere"), ("nowhere",)),
        (("diff", "nowhere", "nowhere"), ("nowhere",)),
        (("diff", "nowhere.csv", "nowhere.csv"), ("nowhere.csv",)),
    ],
)
def test_a_wrong_option_gets_one_clear_message(tmp_path, arguments, words):
    (tmp_path / "file.txt").touch()
    done = run(tmp_path, *arguments)

    assert done.returncode == 4
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_a_run_whose_messages_nobody_reads_goes_on_to_its_end(folder):
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        command("run", "good[", "--load", "faulty_workloads", "--processes", "2", *LIMITS),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=writer,
        text=True,
        timeout=300,
        check=False,
    )
    os.close(writer)

    found = records(folder)
    assert len(found) == 5
    assert {record["status"] for record in found} <= MEASURED
    assert all(len(record["processes"]) == 2 for record in found)
    assert not list((folder / "results" / "runs").glob("*.partial"))
    assert done.returncode in (0, 1)
    assert "good" in done.stdout


def test_nothing_selected_says_so(tmp_path):
    done = run(tmp_path, "run", "no-such-case")

    assert done.returncode == 5
    assert "trnbench list" in done.stderr


def test_list_says_what_there_is_without_torch(tmp_path):
    done = run(tmp_path, "list", "--json")

    rows = json.loads(done.stdout)
    assert done.returncode == 0
    assert len({row["workload"] for row in rows}) >= 12
    quick = sum(len(row["presets"]["quick"]) for row in rows)
    assert 40 <= quick <= 60
    code = (
        "import sys; from trnbench.bench.listing import describe_workloads;"
        "describe_workloads('full', ()); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


@contextlib.contextmanager
def _started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A run in the background, which is gone at the end even where an assertion failed."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _outcomes(journal: Path) -> dict[tuple[str, int], list[int]]:
    rows = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    return {
        (row["case"]["configuration"], row["outcome"]["process"]): row["outcome"]["sustained"][
            "wall_ns"
        ]
        for row in rows
    }


def _wait_for_outcomes(folder: Path, least: int) -> Path:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for journal in (folder / "results" / "runs").glob("*.partial"):
            if len(journal.read_text().splitlines()) > least:
                return journal
        time.sleep(0.02)
    raise AssertionError("the run measured nothing within two minutes")


def _wait_for_worker(parent: int) -> int:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if children:
            # Until it has taken its job and asked to end with its parent.
            time.sleep(5)
            return int(children[0])
        time.sleep(0.05)
    raise AssertionError("no worker was started within two minutes")


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
