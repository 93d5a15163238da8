"""What can go from a folder of runs, and what never does."""

from __future__ import annotations

import os
import time

import pytest

from trnbench.results.cleaning import carry_out, plan_cleaning
from trnbench.results.lines import StoreError, open_locked

OLD = time.time() - 30 * 86400
RUNS = [f"2026112{day}T000000Z-aaaaaa" for day in range(4)]


def aged(path, text=""):
    path.write_text(text)
    os.utime(path, (OLD, OLD))
    return path


def removed(folder, **options):
    return {one.path.name for one in plan_cleaning(folder, **options).removable}


@pytest.fixture
def stored(make, tmp_path):
    def write(run, label="", name=None):
        path = tmp_path / f"{name or run}.jsonl"
        path.write_text(make.record(run=run, label=label).model_dump_json() + "\n")
        return path

    return write


def test_only_old_journals_drafts_and_caches_go(tmp_path):
    header = f'{{"run": "{RUNS[0]}", "header": {{}}}}\n'
    aged(tmp_path / f"{RUNS[0]}.partial", header)
    (tmp_path / f"{RUNS[1]}.partial").write_text(header.replace(RUNS[0], RUNS[1]))
    aged(tmp_path / f"{RUNS[2]}.partial", "somebody's notes\n")
    aged(tmp_path / "notes.partial", "mine\n")
    aged(tmp_path / "merged.0123abcd.draft", "{}\n")
    aged(tmp_path / "letter.draft", "Dear\n")
    cache = tmp_path / f"{RUNS[3]}.cache"
    cache.mkdir()
    (cache / "graph").write_text("x" * 1000)
    os.utime(cache, (OLD, OLD))

    plan = plan_cleaning(tmp_path)

    assert {one.path.name for one in plan.removable} == {
        f"{RUNS[0]}.partial",
        "merged.0123abcd.draft",
        f"{RUNS[3]}.cache",
    }
    assert any("isn't that of this run's journal" in notice for notice in plan.notices)
    freed, notices = carry_out(plan)
    assert (freed, notices) == (plan.size_bytes, [])
    assert not (tmp_path / f"{RUNS[0]}.partial").exists()
    assert (tmp_path / "letter.draft").exists()


def test_the_newest_runs_of_each_label_stay(stored, tmp_path):
    for run, label in zip(RUNS, ("a", "a", "a", ""), strict=True):
        stored(run, label)
    stored("another", name="my-data-set")

    assert removed(tmp_path) == set()
    assert removed(tmp_path, keep=1) == {f"{run}.jsonl" for run in RUNS[:2]}
    assert removed(tmp_path, keep=3) == set()


def test_a_file_that_isn_t_the_run_that_it_is_called_stays(stored, tmp_path):
    for run in RUNS[1:]:
        stored(run)
    stored("somebody-else", name=RUNS[0])
    plan = plan_cleaning(tmp_path, keep=1)

    assert {one.path.name for one in plan.removable} == {f"{run}.jsonl" for run in RUNS[1:3]}
    assert "is no record of this run" in plan.notices[0]


def test_links_are_not_followed(stored, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = tmp_path / "runs"
    folder.mkdir()
    target = aged(outside / f"{RUNS[0]}.partial", f'{{"run": "{RUNS[0]}"}}\n')
    (folder / target.name).symlink_to(target)
    (folder / f"{RUNS[1]}.cache").symlink_to(outside, target_is_directory=True)

    assert removed(folder, older_than_days=0) == set()


def test_a_journal_that_somebody_writes_stays(tmp_path):
    path = aged(tmp_path / f"{RUNS[0]}.partial", f'{{"run": "{RUNS[0]}"}}\n')
    plan = plan_cleaning(tmp_path)

    with open_locked(path):
        os.utime(path, (OLD, OLD))
        assert removed(tmp_path) == set()
        freed, notices = carry_out(plan)
    assert (freed, len(notices)) == (0, 1)
    assert path.exists()


def test_a_folder_that_can_t_be_read(tmp_path):
    with pytest.raises(StoreError, match="can't read"):
        plan_cleaning(tmp_path / "gone")
    with pytest.raises(ValueError, match="wanted >= 0"):
        plan_cleaning(tmp_path, keep=0)
