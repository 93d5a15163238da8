"""The journal and the records of a run: what is written, and what a kill leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trnbench.results.archive import read_run
from trnbench.results.lines import RecordError, StoreError
from trnbench.results.record import CaseKey
from trnbench.results.store import (
    RunHeader,
    case_id,
    create_run,
    find_run,
    new_run_id,
    read_journal,
    read_records,
    resume_run,
)

RUN = "20261122T021733Z-4f2a9c"


@pytest.fixture
def cases(make):
    return [make.case(configuration=f"square-{n}", params={"m": n}) for n in (1, 2, 3)]


@pytest.fixture
def header(cases):
    return RunHeader(
        time="2026-11-22T02:17:33Z",
        fingerprint={"torch": "2.13.0"},
        options={"preset": "quick"},
        cases=cases,
    )


def start(folder, header, run=RUN):
    return create_run(folder, run, header)


def test_run_ids_sort_by_time_and_differ_within_a_second():
    moment = datetime(2026, 11, 22, 2, 17, 33, tzinfo=UTC)
    ids = {new_run_id(moment) for _ in range(50)}

    assert len(ids) > 40
    assert all(one.startswith("20261122T021733Z-") for one in ids)
    assert max(ids) < new_run_id(datetime(2026, 11, 22, 2, 17, 34, tzinfo=UTC))


def test_case_id_doesn_t_depend_on_the_order_of_the_parameters(make):
    first = make.case(params={"m": 1, "n": 2})
    second = make.case(params={"n": 2, "m": 1})

    assert case_id(first) == case_id(second)
    assert case_id(first) != case_id(make.case(params={"m": 2, "n": 1}))


def test_a_folder_is_made_with_a_gitignore_and_one_that_exists_gets_none(tmp_path, header):
    start(tmp_path / "a" / "runs", header).close()
    start(tmp_path, header).close()

    lines = (tmp_path / "a" / "runs" / ".gitignore").read_text().splitlines()
    assert {"*", "!.gitignore"} <= set(lines)
    assert not (tmp_path / ".gitignore").exists()


def test_files_are_there_as_soon_as_a_run_begins(tmp_path, header):
    with start(tmp_path, header) as writer:
        assert writer.path == tmp_path / f"{RUN}.jsonl"
        assert read_records(writer.path).records == ()
        assert read_journal(writer.file.journal_path).header == header


def test_a_run_is_written_and_read_back(tmp_path, header, cases, make):
    writer = start(tmp_path, header)
    for process in (0, 1):
        for case in cases:
            writer.journal(case, make.outcome(process), make.device())
    for case in cases[:2]:
        writer.append(make.record(case, run=RUN))
    journal = read_journal(writer.file.journal_path)

    assert journal.run == RUN
    assert journal.outcomes[case_id(cases[0])] == [make.outcome(0), make.outcome(1)]
    assert journal.devices == {"cpu": make.device()}
    assert writer.missing() == [cases[2]]

    writer.append(make.record(cases[2], run=RUN))
    assert writer.finish() is True
    assert not writer.file.journal_path.exists()
    stored = read_records(writer.path)
    assert [record.case for record in stored.records] == cases
    assert stored.records[0] == make.record(cases[0], run=RUN)
    assert stored.notices == ()
    for line in writer.path.read_text().splitlines():
        assert json.loads(line)["status"] == "OK"


def test_a_run_that_lacks_a_record_keeps_its_journal(tmp_path, header, cases, make):
    writer = start(tmp_path, header)
    writer.append(make.record(cases[0], run=RUN))

    assert writer.finish() is False
    assert writer.file.journal_path.exists()


def test_each_case_has_exactly_one_record(tmp_path, header, cases, make):
    with start(tmp_path, header) as writer:
        writer.append(make.record(cases[0], run=RUN))

        with pytest.raises(ValueError, match="already has a record"):
            writer.append(make.record(cases[0], run=RUN))
        with pytest.raises(ValueError, match="is no case of run"):
            writer.append(make.record(make.case(configuration="other"), run=RUN))
        with pytest.raises(ValueError, match="is no case of run"):
            writer.journal(make.case(configuration="other"), make.outcome(0))
        with pytest.raises(ValueError, match="record of run 'elsewhere'"):
            writer.append(make.record(cases[1], run="elsewhere"))
    assert len(read_records(writer.path).records) == 1


def test_a_run_never_writes_over_another(tmp_path, header, cases, make):
    with start(tmp_path, header) as writer:
        writer.journal(cases[1], make.outcome(0))
        writer.append(make.record(cases[0], run=RUN))

    with pytest.raises(StoreError, match="exists"):
        start(tmp_path, header)
    assert len(read_records(writer.path).records) == 1
    assert len(read_journal(writer.file.journal_path).outcomes[case_id(cases[1])]) == 1


def test_a_journal_whose_records_are_gone_is_never_emptied(tmp_path, header, cases, make):
    with start(tmp_path, header) as writer:
        writer.journal(cases[1], make.outcome(0))
    writer.path.unlink()

    with pytest.raises(StoreError, match="exists"):
        start(tmp_path, header)
    assert len(read_journal(writer.file.journal_path).outcomes[case_id(cases[1])]) == 1


def test_a_finished_run_isn_t_begun_again(tmp_path, header, cases, make):
    writer = start(tmp_path, header)
    for case in cases:
        writer.append(make.record(case, run=RUN))
    assert writer.finish()

    with pytest.raises(StoreError, match="exists"):
        start(tmp_path, header)
    assert not writer.file.journal_path.exists()
    assert len(read_records(writer.path).records) == 3


def test_a_run_that_is_being_written_can_t_be_taken_up(tmp_path, header):
    writer = start(tmp_path, header)

    with pytest.raises(StoreError, match="being written by another program"):
        resume_run(writer.file)
    writer.close()
    resume_run(find_run(tmp_path))[0].close()


def test_a_folder_that_can_t_be_written_is_an_error_with_a_mend(tmp_path, header):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="--bench-out"):
        start(tmp_path / "file" / "runs", header)


def test_a_file_in_place_of_the_folder_is_no_run_that_exists(tmp_path, header):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match=r"file is a file, a folder wanted.*--bench-out") as caught:
        start(tmp_path / "file", header)
    assert "exists" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_message_and_closing_raises_no_other(tmp_path, header, cases, make):
    with (
        Path("/dev/full").open("a", encoding="utf-8") as full,
        pytest.raises(StoreError, match=r"/dev/full.*No space left.*go on with --bench-resume"),
        start(tmp_path, header) as writer,
    ):
        writer.journal(cases[0], make.outcome(0))
        writer._journal.close()
        writer._journal = full
        writer.journal(cases[1], make.outcome(0))
    kept = read_journal(writer.file.journal_path).outcomes
    assert kept[case_id(cases[0])] == [make.outcome(0)]
    assert kept[case_id(cases[1])] == []


WRITER = """
    import sys
    from pathlib import Path
    from trnbench.results.record import ProcessOutcome, Record
    from trnbench.results.store import RunHeader, create_run

    folder, run, header, outcome, *records = sys.argv[1:]
    writer = create_run(Path(folder), run, RunHeader.model_validate_json(header))
    outcome = ProcessOutcome.model_validate_json(outcome)
    writer.append(Record.model_validate_json(records[0]))
    for number in range(100_000):
        case = writer.header.cases[1 + number % 2]
        writer.journal(case, outcome.model_copy(update={"process": number}))
        print(number, flush=True)
"""


def test_a_kill_loses_nothing_that_was_measured(tmp_path, header, cases, make):
    arguments = [
        str(tmp_path),
        RUN,
        header.model_dump_json(),
        make.outcome(0).model_dump_json(),
        make.record(cases[0], run=RUN).model_dump_json(),
    ]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        told = [int(process.stdout.readline()) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().split()]
        assert process.wait() == -signal.SIGKILL

    file = find_run(tmp_path)
    with file.journal_path.open("ab") as stream:
        stream.write(b'{"case": {"workload": "mat')
    writer, journal, stored = resume_run(file)

    kept = {o.process for outcomes in journal.outcomes.values() for o in outcomes}
    assert told
    assert set(told) <= kept
    assert [record.case for record in stored.records] == [cases[0]]
    assert any("torn" in notice for notice in journal.notices)

    with writer:
        writer.journal(cases[1], make.outcome(200_000))
        for case in cases[1:]:
            writer.append(make.record(case, run=RUN))
        again = read_journal(file.journal_path)
        assert again.notices == ()
        assert again.outcomes[case_id(cases[1])][-1].process == 200_000
        assert writer.finish() is True
    assert [record.case for record in read_records(file.records_path).records] == cases


def test_a_record_torn_by_a_kill_is_reported_and_measured_again(tmp_path, header, cases, make):
    writer = start(tmp_path, header)
    writer.append(make.record(cases[0], run=RUN))
    writer.close()
    whole = make.record(cases[1], run=RUN).model_dump_json()
    with writer.path.open("a") as stream:
        stream.write(whole[: len(whole) // 2])

    stored = read_records(writer.path)
    assert [record.case for record in stored.records] == [cases[0]]
    assert len(stored.notices) == 1
    assert "line 2 is torn" in stored.notices[0]

    again, _, _ = resume_run(writer.file)
    assert again.missing() == cases[1:]
    for case in cases[1:]:
        again.append(make.record(case, run=RUN))
    assert again.finish()
    assert [record.case for record in read_records(writer.path).records] == cases


def test_a_whole_last_line_without_its_end_is_kept(tmp_path, header, cases, make):
    writer = start(tmp_path, header)
    writer.close()
    writer.path.write_text(make.record(cases[0], run=RUN).model_dump_json())

    again, _, stored = resume_run(writer.file)
    again.append(make.record(cases[1], run=RUN))
    again.close()

    assert len(stored.records) == 1
    assert len(read_records(writer.path).records) == 2


def test_a_run_killed_between_its_last_record_and_its_end_is_finished_by_taking_it_up(
    tmp_path, header, cases, make
):
    writer = start(tmp_path, header)
    for case in cases:
        writer.append(make.record(case, run=RUN))
    writer.close()

    again, _, stored = resume_run(find_run(tmp_path))

    assert len(stored.records) == 3
    assert again.missing() == []
    assert again.finish()


def test_finding_an_unfinished_run(tmp_path, header):
    with pytest.raises(StoreError, match="no unfinished run in"):
        find_run(tmp_path)
    older, newer = "20261121T000000Z-aaaaaa", "20261122T000000Z-bbbbbb"
    for run in (newer, older):
        start(tmp_path, header, run).close()

    assert find_run(tmp_path).run == newer
    assert find_run(tmp_path, older).run == older
    assert find_run(tmp_path, "20261121").run == older
    assert find_run(tmp_path / "x", str(tmp_path / f"{older}.partial")).run == older
    assert find_run(tmp_path / "x", str(tmp_path / f"{older}.jsonl")).folder == tmp_path
    with pytest.raises(StoreError, match=f"begins several.*{older}, {newer}"):
        find_run(tmp_path, "2026")
    with pytest.raises(StoreError, match=f"no unfinished run 'zzz'.*{newer}"):
        find_run(tmp_path, "zzz")
    (tmp_path / f"{older}.partial").unlink()
    with pytest.raises(StoreError, match="is finished"):
        find_run(tmp_path, older)


def spoil(text, **changes):
    row = json.loads(text)
    row.update(changes)
    return json.dumps(row)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "FINE"}, "field 'status'.*'FINE' given"),
        ({"case": {"workload": "matmul"}}, "field 'case.configuration'"),
        ({"compile_s": "long"}, "field 'compile_s'"),
        ({"compile_s": "1.5"}, "field 'compile_s'"),
        ({"summary": {"processes": "many"}}, "field 'summary.processes'"),
        (
            {"summary": {"processes": 1, "sustained": {"value": 0}}},
            "field 'summary.sustained': .*value is 0; wanted a time above 0",
        ),
        ({"schema_version": 2}, "schema_version 2 given.*reads up to 1"),
    ],
)
def test_a_malformed_record_is_named_by_file_line_and_field(tmp_path, make, changes, said):
    text = make.record().model_dump_json()
    path = tmp_path / "run.jsonl"
    path.write_text(f"{text}\n{spoil(text, **changes)}\n{text}\n")

    with pytest.raises(RecordError, match=said) as caught:
        read_records(path)
    assert f"{path}: line 2" in str(caught.value)


def test_a_field_of_a_newer_program_is_left_out_and_told(tmp_path, make):
    path = tmp_path / "run.jsonl"
    path.write_text(f"{spoil(make.record().model_dump_json(), surprise=1)}\n")

    run = read_records(path)

    assert run.records == (make.record(),)
    assert any("surprise" in notice for notice in run.notices)


@pytest.mark.parametrize("line", ["{", "[1]", "null", '"text"'])
def test_a_line_in_the_middle_that_is_no_object_is_an_error(tmp_path, make, line):
    text = make.record().model_dump_json()
    path = tmp_path / "run.jsonl"
    path.write_text(f"{text}\n{line}\n{text}\n")

    with pytest.raises(RecordError, match="line 2: no JSON object"):
        read_records(path)


def test_malformed_journals_are_named(tmp_path, header):
    path = tmp_path / "x.partial"
    path.write_text("")
    with pytest.raises(RecordError, match="line 1: no header"):
        read_journal(path)
    path.write_text('{"other": 1}\n')
    with pytest.raises(RecordError, match="line 1: 'header' is missing"):
        read_journal(path)
    first = json.dumps({"run": RUN, "header": header.model_dump(mode="json")})
    path.write_text(f'{first}\n{{"case": {{}}, "outcome": {{}}}}\n')
    with pytest.raises(RecordError, match="line 2: field 'workload'"):
        read_journal(path)
    with pytest.raises(StoreError, match="can't read"):
        read_journal(tmp_path / "absent.partial")


@pytest.fixture
def archive(tmp_path, make):
    for run, label in (
        ("20261120T000000Z-aaaaaa", "base"),
        ("20261121T000000Z-bbbbbb", "base"),
        ("20261122T000000Z-cccccc", ""),
    ):
        record = make.record(run=run, label=label)
        (tmp_path / f"{run}.jsonl").write_text(record.model_dump_json() + "\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("", "20261122T000000Z-cccccc"),
        ("20261120T000000Z-aaaaaa", "20261120T000000Z-aaaaaa"),
        ("20261121", "20261121T000000Z-bbbbbb"),
        ("base", "20261121T000000Z-bbbbbb"),
    ],
)
def test_a_stored_run_is_found_by_what_it_is_called(archive, name, run):
    stored = read_run(name, archive)

    assert stored.records[0].run == run
    assert stored.path == archive / f"{run}.jsonl"


def test_a_stored_run_is_found_by_path_and_folder(archive, tmp_path):
    path = archive / "20261120T000000Z-aaaaaa.jsonl"

    assert read_run(path, tmp_path / "x").path == path
    assert read_run(archive, tmp_path / "x").records[0].run == "20261122T000000Z-cccccc"


def test_an_unknown_run_is_answered_with_the_known(archive, tmp_path):
    with pytest.raises(StoreError, match="Did you mean 'base'") as caught:
        read_run("bsae", archive)
    assert "20261122T000000Z-cccccc" in str(caught.value)
    with pytest.raises(StoreError, match="begins several"):
        read_run("2026", archive)
    with pytest.raises(StoreError, match="no runs in"):
        read_run("x", tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="no runs in"):
        read_run(tmp_path / "empty", archive)


def test_an_unfinished_run_is_read_with_a_notice(tmp_path, header, cases, make):
    writer = start(tmp_path, header)
    writer.append(make.record(cases[0], run=RUN))
    writer.close()

    stored = read_run(tmp_path / f"{RUN}.partial")

    assert len(stored.records) == 1
    assert any("1 of 3 cases" in notice for notice in stored.notices)


def test_the_key_survives_json(make):
    case = make.case(params={"m": 1, "p": 0.5, "flag": True, "op": "mm"})

    assert CaseKey.model_validate_json(case.model_dump_json()) == case
