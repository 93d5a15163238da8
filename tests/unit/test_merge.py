"""Several files of records as one."""

from __future__ import annotations

import json

import pytest

from trnbench.results.lines import RecordError, StoreError
from trnbench.results.merge import merge
from trnbench.results.origin import OriginError
from trnbench.results.store import read_records


@pytest.fixture
def shard(make, tmp_path):
    def write(name, *dtypes, medians=(1e-3, 1.1e-3), **changes):
        path = tmp_path / name
        records = [
            make.record(make.case(dtype=dtype), medians=medians, **changes) for dtype in dtypes
        ]
        path.write_text("".join(f"{record.model_dump_json()}\n" for record in records))
        return path

    return write


def dtypes(path):
    return [record.case.dtype for record in read_records(path).records]


def test_shards_become_one_file_in_their_order(shard, tmp_path):
    files = [shard("b.jsonl", "bf16", "fp8"), shard("a.jsonl", "fp32")]
    merged = merge(files, tmp_path / "all.jsonl")

    assert dtypes(merged.path) == ["bf16", "fp8", "fp32"]
    assert (merged.records, merged.duplicates) == (3, 0)
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    assert merged.path.read_bytes().splitlines() == lines


def test_what_is_there_twice_is_written_once(shard, tmp_path):
    files = [shard("a.jsonl", "fp32", "bf16"), shard("b.jsonl", "bf16")]
    row = json.loads(files[1].read_text())
    files[1].write_text(json.dumps(dict(reversed(row.items()))) + "\n")

    merged = merge(files, tmp_path / "all.jsonl")

    assert dtypes(merged.path) == ["fp32", "bf16"]
    assert merged.duplicates == 1


def test_two_that_differ_are_refused_and_nothing_is_left(shard, tmp_path):
    files = [shard("a.jsonl", "fp32"), shard("b.jsonl", "fp32", medians=(2e-3, 2.1e-3))]

    with pytest.raises(StoreError, match=r"a\.jsonl: line 1, and .*b\.jsonl: line 1"):
        merge(files, tmp_path / "all.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl"]


@pytest.mark.parametrize(
    "place", [("newer",), ("summary", "newer"), ("processes", 0, "sustained", "newer")]
)
def test_two_that_differ_in_what_only_a_newer_program_knows_differ(shard, tmp_path, place):
    files = [shard("a.jsonl", "fp32"), shard("b.jsonl", "fp32")]
    *parents, name = place
    for value, file in enumerate(files):
        row = json.loads(file.read_text())
        part = row
        for parent in parents:
            part = part[parent]
        part[name] = value
        file.write_text(json.dumps(row) + "\n")

    with pytest.raises(StoreError, match="two records of one run and case differ"):
        merge(files, tmp_path / "all.jsonl")
    assert merge([files[0], files[0]], tmp_path / "one.jsonl").duplicates == 1


def test_simulated_figures_share_no_file_with_others(shard, tmp_path):
    files = [shard("a.jsonl", "fp32"), shard("b.jsonl", "bf16", origin="simulated")]

    with pytest.raises(OriginError, match="simulated"):
        merge(files, tmp_path / "all.jsonl")


def test_a_file_that_is_there_is_replaced_only_if_asked(shard, tmp_path):
    file, target = shard("a.jsonl", "fp32"), tmp_path / "all.jsonl"
    target.write_text("precious\n")

    with pytest.raises(StoreError, match=r"exists.*--force"):
        merge([file], target)
    assert target.read_text() == "precious\n"
    merge([file], target, force=True)
    assert dtypes(target) == ["fp32"]


def test_a_broken_line_is_named_and_a_torn_one_told(shard, tmp_path):
    file = shard("a.jsonl", "fp32")
    whole = file.read_text()
    file.write_text(whole + whole[:100])
    merged = merge([file], tmp_path / "all.jsonl")
    assert merged.records == 1
    assert "line 2 is torn" in merged.notices[0]

    file.write_text("{\n" + whole)
    with pytest.raises(RecordError, match="line 1: no JSON object"):
        merge([file], tmp_path / "other.jsonl")
    file.write_text("")
    with pytest.raises(StoreError, match="no record in 1 files"):
        merge([file], tmp_path / "other.jsonl")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("all.csv", "ends in .jsonl"),
        ("20261101T000000Z-aaaaaa.jsonl", "is what run .* is called"),
        ("gone/all.jsonl", "can't write"),
    ],
)
def test_a_name_that_readers_would_take_for_something_else(shard, tmp_path, name, said):
    with pytest.raises(StoreError, match=said):
        merge([shard("a.jsonl", "fp32")], tmp_path / name)
