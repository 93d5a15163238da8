"""``trnbench diff`` and ``trnbench baseline`` as they are typed."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from trnbench.bench.cli import app
from trnbench.results import frame
from trnbench.results.lines import RecordError, StoreError
from trnbench.results.record import Status
from trnbench.results.store import RunHeader, create_run

QUIET = (1e-3, 1.001e-3, 0.999e-3)


@pytest.fixture
def folder(make, tmp_path):
    """Three runs of a label "old", and three of "new" that take 12 % longer."""
    for label, factor, day in (("old", 1.0, 10), ("new", 1.12, 11)):
        for number, mood in enumerate((1.0, 1.01, 0.99)):
            run = f"202611{day}T00000{number}Z-aaaaaa"
            records = [
                make.record(
                    make.case(mode=mode),
                    medians=tuple(median * factor * mood * of_mode for median in QUIET),
                    run=run,
                    label=label,
                )
                for mode, of_mode in (("eager", 1.0), ("compiled", 0.5))
            ]
            lines = "".join(f"{record.model_dump_json()}\n" for record in records)
            (tmp_path / f"{run}.jsonl").write_text(lines)
    return tmp_path


def typed(folder, *arguments):
    return CliRunner().invoke(app, [*map(str, arguments), "--out", str(folder)])


def typed_alone(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def verdicts(result):
    return {row["mode"]: row["verdict"] for row in json.loads(result.stdout)}


def test_the_newest_run_of_each_label_can_t_decide_and_all_of_them_can(folder):
    single = typed(folder, "diff", "old", "new", "--json")
    several = typed(folder, "diff", "old", "new", "--json", "--all-runs")
    trusted = typed(folder, "diff", "old", "new", "--json", "--between-runs", "1")

    assert verdicts(single) == {"eager": "UNPAIRED", "compiled": "UNPAIRED"}
    assert verdicts(several) == {"eager": "SLOWER", "compiled": "SLOWER"}
    assert verdicts(trusted) == {"eager": "SLOWER", "compiled": "SLOWER"}
    assert (single.exit_code, several.exit_code) == (0, 0)


def test_a_gate_exits_with_the_code_of_its_class(folder):
    def code(*options):
        return typed(folder, "diff", "old", "new", "--all-runs", *options).exit_code

    assert code("--fail-on", "slower,failing") == 13
    assert code("--fail-on", "failing") == 0
    assert code("--limit", "latency_ms < 1") == 14
    assert code("--limit", "compiled: latency_ms < 1", "--fail-on", "missing") == 0


def test_a_baseline_stands_in_for_its_run(folder):
    target = folder / "baseline.json"
    assert isinstance(typed(folder, "baseline", "old", "-o", target).exception, Exception)
    target = folder / "kept" / "baseline.jsonl"
    target.parent.mkdir()
    made = typed(folder, "baseline", "old", "-o", target)

    assert made.exit_code == 0
    assert "2 cases" in made.stdout
    found = typed(folder, "diff", target, "new", "--json")
    assert verdicts(found) == {"eager": "UNPAIRED", "compiled": "UNPAIRED"}


def test_one_run_is_held_against_itself_by_an_axis(folder):
    (row,) = json.loads(typed(folder, "diff", "old", "--by", "mode", "--json").stdout)

    assert (row["verdict"], row["a"]["mode"], row["b"]["mode"]) == ("FASTER", "eager", "compiled")
    assert row["ratio"] == pytest.approx(0.5, rel=1e-3)
    (back,) = json.loads(typed(folder, "diff", "old", "--by", "mode=compiled", "--json").stdout)
    assert back["verdict"] == "SLOWER"


def test_three_runs_are_two_comparisons_and_markdown_is_a_form(folder):
    rows = json.loads(typed(folder, "diff", "old", "new", "old", "--json").stdout)
    text = typed(folder, "diff", "old", "new", "--markdown").stdout

    assert len(rows) == 4
    assert text.startswith("### 2 common cases")
    assert "| UNPAIRED |" in text


def test_parquet_is_a_run_too(folder):
    pytest.importorskip("pyarrow")
    for label in ("old", "new"):
        target = folder / f"{label}.parquet"
        assert typed(folder, "export", label, "--to", "parquet", "-o", target).exit_code == 0

    found = typed(folder, "diff", folder / "old.parquet", folder / "new.parquet", "--json")
    assert verdicts(found) == {"eager": "UNPAIRED", "compiled": "UNPAIRED"}


def test_a_variable_that_only_one_run_has_is_no_obstacle_to_an_axis(folder, make):
    path = folder / "other.jsonl"
    environment = make.environment(variables={"XLA_FLAGS": "--x"})
    record = make.record(make.case(dtype="bf16"), environment=environment)
    path.write_text(f"{record.model_dump_json()}\n")

    found = typed(folder, "diff", path, "old", "--by", "dtype=fp32", "--json")

    assert found.exit_code == 0
    assert json.loads(found.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("old",), "wanted A and B"),
        (("old", "gone"), "no file, folder, run or label 'gone'"),
        (("old", "new", "--fail-on", "slow"), "wanted one of failing"),
        (("old", "new", "--limit", "speed < 1"), "no metric 'speed'"),
        (("old", "new", "--price", "trn2"), "wanted NAME=USD"),
        (
            ("old", "new", "--price", "trainium2=2"),
            "unknown name of --price 'trainium2'; known: Some Processor 9000.",
        ),
        (("old", "--by", "dtype"), "--by 'dtype' given"),
        (("old", "new", "--json", "--markdown"), "wanted one form"),
    ],
)
def test_what_can_t_be_meant_is_one_message(folder, arguments, said):
    result = typed(folder, "diff", *arguments)

    assert said in str(result.exception)


def test_large_files_are_read_side_by_side(folder, monkeypatch):
    sides = [[path] for path in sorted(folder.glob("*.jsonl"))[:3]]
    one_by_one = frame.load_apart(sides)
    monkeypatch.setattr(frame, "_LARGE_BYTES", 0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)

    for found, wanted in zip(frame.load_apart(sides), one_by_one, strict=True):
        pd.testing.assert_frame_equal(found, wanted)
    sides[1][0].write_text("{\n{}\n")
    with pytest.raises((RecordError, StoreError), match="line 1"):
        frame.load_apart(sides)


def test_every_file_that_can_be_read_is_validated(folder):
    (broken := folder / "broken.jsonl").write_text("{}\n")
    good = next(folder.glob("2026*.jsonl"))

    result = typed_alone("validate", good, folder / "nosuch.jsonl", broken)

    assert isinstance(result.exception, StoreError)
    assert "nosuch.jsonl" in str(result.exception)
    printed = "".join(result.stdout.split())
    assert good.name in printed
    assert "broken.jsonl:line1" in printed


@pytest.mark.parametrize("word", ["matmull", "softmx"])
def test_a_pattern_that_selects_nothing_is_told_with_what_was_meant(word):
    result = typed_alone("run", word)

    assert result.exit_code == 5
    assert f"no name contains '{word}'" in result.stderr
    assert f"Did you mean '{'matmul' if word == 'matmull' else 'softmax'}'?" in result.stderr


def test_a_side_that_is_unfinished_is_told(folder, make):
    run = "20261111T000009Z-aaaaaa"
    cases = [make.case(mode=mode) for mode in ("eager", "compiled")]
    header = RunHeader(time="2026-11-11T00:00:09Z", fingerprint={}, options={}, cases=cases)
    with create_run(folder, run, header) as writer:
        writer.append(make.record(cases[0], run=run))
        writer.journal(cases[1], make.outcome(0), make.device())

    result = typed(folder, "diff", "old", run, "--fail-on", "missing")

    assert result.exit_code == 15
    assert (
        f"run {run} is unfinished: 1 of 2 cases have a record, and 1 measurement is kept"
        in result.stderr
    )


def test_a_label_comes_before_the_beginning_of_another_run_s_name(folder):
    (folder / "old-weekly.jsonl").write_text(
        (folder / "20261111T000000Z-aaaaaa.jsonl").read_text().replace('"new"', '"weekly"')
    )

    shown = typed(folder, "diff", "old", "old", "--json")

    assert shown.exit_code == 0
    assert {row["a"]["label"] for row in json.loads(shown.stdout)} == {"old"}


def test_records_without_the_axis_are_told(folder, make):
    known = make.device(name="Trainium1", chip="trainium1", share=0.5)
    records = [
        make.record(run="a", device=known),
        make.record(run="b", device=make.device(name="Trainium2", chip="trainium2", share=0.25)),
        make.record(run="c", device=None).model_copy(update={"status": Status.CRASHED}),
    ]
    file = folder / "chips.jsonl"
    file.write_text("".join(f"{record.model_dump_json()}\n" for record in records))

    result = typed(folder, "diff", file, "--by", "chip")

    assert result.exit_code == 0
    assert "1 of 3 records have no chip, and are in no comparison" in result.stderr


def test_a_case_that_crashed_before_its_device_answered_is_of_its_run_s_chip(folder, make):
    other = make.case(configuration="other")
    records = [
        make.record(case, run=run, device=make.device(name=chip, chip=chip, share=0.25))
        for run, chip in (("a", "trainium1"), ("b", "trainium2"))
        for case in (make.case(), other)
    ]
    records[-1] = records[-1].model_copy(update={"status": Status.CRASHED, "device": None})
    file = folder / "chips.jsonl"
    file.write_text("".join(f"{record.model_dump_json()}\n" for record in records))

    result = typed(folder, "diff", file, "--by", "chip", "--fail-on", "failing")

    assert result.exit_code == 10
    assert "CRASHED" in result.stderr
