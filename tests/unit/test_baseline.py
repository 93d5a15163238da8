"""A baseline for git: small, in order, and as good as its run to compare with."""

from __future__ import annotations

import pytest

from trnbench.results.baseline import baseline_lines, write_baseline
from trnbench.results.compare import compare
from trnbench.results.frame import frame_of, load
from trnbench.results.lines import StoreError
from trnbench.results.origin import OriginError
from trnbench.results.store import read_records


def test_a_baseline_compares_as_its_run_does(make, tmp_path):
    run = [make.record(make.case(configuration=name, params={"n": name})) for name in "cab"]
    later = [
        make.record(record.case, medians=(5e-3, 5.1e-3, 4.9e-3), run="later") for record in run
    ]
    file = tmp_path / "baseline.jsonl"

    assert write_baseline(run, file) == 3
    from_run = compare(frame_of(run), frame_of(later)).rows()
    from_file = compare(load(file), frame_of(later)).rows()

    assert len(file.read_text()) < 0.8 * sum(len(record.model_dump_json()) for record in run)
    assert [record.case.configuration for record in read_records(file).records] == ["a", "b", "c"]
    for one, other in zip(
        sorted(from_run, key=lambda row: row.configuration),
        sorted(from_file, key=lambda row: row.configuration),
        strict=True,
    ):
        assert one.to_dict() == other.to_dict()


def test_what_the_device_s_clock_said_stays(make):
    record = make.record()
    samples = record.processes[0].sustained
    ticks = [1e6 * samples.calls] * len(samples.wall_ns)
    processes = [
        process.model_copy(
            update={"sustained": process.sustained.model_copy(update={"device_ns": ticks})}
        )
        for process in record.processes
    ]
    record = record.model_copy(update={"processes": processes})

    from trnbench.results.baseline import slim

    assert frame_of([slim(record)])["device_s"][0] == frame_of([record])["device_s"][0] == 1e-3


def test_the_same_run_gives_the_same_file(make):
    run = [make.record(make.case(configuration=name, params={"n": name})) for name in "cab"]

    assert baseline_lines(run) == baseline_lines(run[::-1])


def test_what_can_t_be_one(make, tmp_path):
    with pytest.raises(StoreError, match="is there twice"):
        baseline_lines([make.record(), make.record(run="other")])
    with pytest.raises(OriginError):
        baseline_lines([make.record(), make.record(make.case(dtype="bf16"), origin="simulated")])
    with pytest.raises(StoreError, match="can't write"):
        write_baseline([make.record()], tmp_path / "no" / "folder.jsonl")


@pytest.mark.parametrize("other", ["a run", "no records"])
def test_a_baseline_takes_the_place_of_none_but_a_baseline(make, tmp_path, other):
    run = tmp_path / "20261122T021733Z-4f2a9c.jsonl"
    run.write_text(f"{make.record().model_dump_json()}\n" if other == "a run" else "[project]\n")
    before = run.read_bytes()

    with pytest.raises(StoreError, match="give another file"):
        write_baseline([make.record()], run)

    assert run.read_bytes() == before
    baseline = tmp_path / "baseline.jsonl"
    assert write_baseline([make.record()], baseline) == 1
    assert write_baseline([make.record(), make.record(make.case(dtype="bf16"))], baseline) == 2
