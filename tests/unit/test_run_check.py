"""What `trnbench check` finds in a run, and how it says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trnbench.bench.cli import app
from trnbench.bench.errors import UsageError
from trnbench.bench.run_check import Expectation, check_run, print_check
from trnbench.results.record import ACCEPTED, Status
from trnbench.results.store import RunHeader, StoredRun, create_run

RUN = "20261122T021733Z-4f2a9c"
PATH = Path(f"{RUN}.jsonl")


@pytest.fixture
def trainium(make):
    """A record of one logical core of a Trainium2, right in every respect."""

    def make_record(number=0, backend="neuron", device=None, outcome=None, **changes):
        facts = {
            "name": "NeuronCore-v3 (LNC=2)",
            "chip": "trainium2",
            "chip_reason": "by its name",
            "share": 0.25,
            "facts": {"instance_type": "trn2.3xlarge", "lnc": 2},
        }
        named = make.device(**facts | (device or {}))
        changes.setdefault("device", named)
        case = make.case(backend=backend, configuration=f"square-{number}", params={"m": number})
        record = make.record(case=case, **changes)
        if outcome:
            changed = [p.model_copy(update=outcome) for p in record.processes]
            record = record.model_copy(update={"processes": changed})
        return record

    return make_record


def problems(*records, notices=(), **expected):
    run = StoredRun(PATH, records, tuple(notices))
    return check_run(run, Expectation(**{"backend": "neuron"} | expected))


SIMULATED = {"name": "simulated NeuronCore", "chip": None, "simulated": True}


def test_a_run_that_is_right_has_no_problem(trainium):
    assert problems(*(trainium(n) for n in range(3))) == []
    assert problems(trainium(), device="trainium2") == []
    assert problems(trainium(), device="TRN2.3xlarge") == []
    assert problems(trainium(), device="NeuronCore-v3") == []


def test_refused_cases_are_data_and_no_problem(trainium):
    assert problems(trainium(0), trainium(1, status=Status.UNSUPPORTED, summary=None)) == []
    assert problems(trainium(0), trainium(1, status=Status.COMPILE_ERROR, summary=None)) == []


def test_an_untimed_run_is_no_benchmark(trainium):
    (problem,) = problems(trainium(0), trainium(1, summary=None))

    assert problem.startswith("nothing was timed: it is a coverage run; 1 of 2 cases: matmul[")
    assert "wanted a benchmark: measure with trnbench run" in problem


FAILED = [status for status in Status if status not in ACCEPTED]


@pytest.mark.parametrize("status", FAILED)
def test_a_strict_check_lets_no_case_fail(trainium, status):
    assert len(FAILED) == len(Status) - 3
    records = [trainium(0), *(trainium(n, status=status) for n in range(1, 50))]
    always = status in (Status.FALLBACK_TO_CPU, Status.RECOMPILED)

    assert len(problems(*records)) == always
    (problem,) = problems(*records, strict=True)
    assert "in 49 of 50 cases" in problem or always
    assert str(status) in problem or always
    assert "wanted" in problem


def test_a_strict_check_has_a_line_for_each_status_and_takes_what_is_accepted(trainium):
    fine = [trainium(n, status=status) for n, status in enumerate(ACCEPTED)]
    failed = [trainium(8, status=Status.TIMEOUT), trainium(9, status=Status.CRASHED)]

    assert problems(*fine, strict=True) == []
    first, second = problems(*fine, *failed, strict=True)
    assert first.startswith("TIMEOUT in 1 of 5 cases: matmul[square-8-")
    assert second.startswith("CRASHED in 1 of 5 cases: matmul[square-9-")


def test_another_backend_is_a_problem_in_a_single_record(trainium):
    (problem,) = problems(trainium(0), trainium(1, backend="cpu"), trainium(2))

    assert "'cpu' in 1 of 3 cases: matmul[square-1-fp32-eager-cpu];" in problem
    assert "wanted 'neuron' in every record" in problem
    assert "--backend neuron" in problem


def test_too_few_good_cases_are_a_problem_that_counts_the_others(trainium):
    failed = [trainium(n, status=Status.COMPILE_ERROR) for n in (1, 2)]
    records = [trainium(0), *failed, trainium(3, status=Status.SKIPPED)]

    (problem,) = problems(*records, least_ok=2)

    assert "1 of 4 cases OK (2 COMPILE_ERROR, 1 SKIPPED); wanted at least 2" in problem
    assert problems(*records, least_ok=1) == []


def test_no_record_at_all_is_a_problem():
    (problem,) = problems()

    assert "0 of 0 cases OK" in problem


@pytest.mark.parametrize(
    "fallen",
    [
        {"status": Status.FALLBACK_TO_CPU},
        {"status_counts": {"OK": 2, "FALLBACK_TO_CPU": 1}},
        {"outcome": {"fallbacks": ["aten::linalg_eig"]}},
    ],
    ids=["status", "one process", "recorded operators"],
)
def test_a_fallback_is_a_problem_wherever_it_is_recorded(trainium, fallen):
    (problem,) = problems(trainium(0), trainium(1, **fallen))

    assert "ran on the host" in problem
    assert "1 of 2 cases: matmul[square-1-" in problem
    assert ("aten::linalg_eig" in problem) == ("outcome" in fallen)


@pytest.mark.parametrize(
    "again", [{"status": Status.RECOMPILED}, {"status_counts": {"RECOMPILED": 1, "CRASHED": 2}}]
)
def test_a_recompilation_is_a_problem_even_where_something_worse_happened(trainium, again):
    (problem,) = problems(trainium(0), trainium(1, **again))

    assert "compiled again while it was timed" in problem


def test_an_unfinished_or_torn_file_is_a_problem_each(trainium):
    found = problems(trainium(), notices=["2 of 5 cases have a record", "line 3 is torn"])

    assert len(found) == 2
    assert all(line.startswith("the file isn't whole: ") for line in found)


@pytest.mark.parametrize(
    "stand_in",
    [{"origin": "simulated"}, {"device": SIMULATED}, {"origin": "simulated", "device": SIMULATED}],
    ids=["origin", "device", "both"],
)
def test_a_stand_in_passes_only_where_it_is_asked_for(trainium, stand_in):
    (problem,) = problems(trainium(**stand_in))

    assert "a stand-in for hardware answered" in problem
    assert problems(trainium(**stand_in), allow_simulated=True) == []


def test_a_stand_in_beside_a_real_device_never_passes(trainium):
    (problem,) = problems(trainium(0), trainium(1, origin="simulated"), allow_simulated=True)

    assert "wanted one of the two" in problem


def test_published_figures_are_no_run(trainium):
    (problem,) = problems(trainium(origin="published"), allow_simulated=True)

    assert "published figures in 1 of 1 cases" in problem


def test_a_measured_case_without_a_device_is_a_problem(trainium):
    (problem,) = problems(trainium(0), nameless(trainium))

    assert "no device is named in 1 of 2 cases" in problem


def nameless(trainium, **changes):
    return trainium(1, **changes).model_copy(update={"device": None})


@pytest.mark.parametrize("expected", [{}, {"device": "trainium2"}])
@pytest.mark.parametrize("summary", ["timed", None])
def test_a_case_that_is_ok_names_its_device_timed_or_not(trainium, expected, summary):
    changes = {} if summary else {"summary": None}

    found = problems(nameless(trainium, **changes), **expected)

    assert "no device is named in 1 of 1 cases" in found[0]


@pytest.mark.parametrize("name", ["", " ", "\t"])
def test_an_empty_name_of_a_device_is_refused(name):
    with pytest.raises(UsageError, match="every device would match; wanted a chip"):
        Expectation("neuron", device=name)


def test_a_case_that_failed_before_a_device_answered_needs_none(trainium):
    failed = nameless(trainium, status=Status.CRASHED, summary=None)

    assert problems(trainium(0), failed) == []


def test_an_unknown_chip_is_a_problem_unless_the_device_is_named(trainium):
    unknown = {"name": "NeuronCore-v9", "chip": None, "chip_reason": "not in the catalog"}

    (problem,) = problems(trainium(device=unknown))
    assert "the chip is unknown" in problem
    assert "not in the catalog" in problem
    assert problems(trainium(device=unknown), device="neuroncore-v9") == []


FACTS = {
    "instance_type": "trn2.3xlarge",
    "device_name": "Trainium2",
    "lnc_source": "core",
    "torch_neuronx": "2.14.3.0",
    "torch": "2.14.0",
    "sdk": "2.33",
    "stack": "native",
    "instance_family": "trn2",
}
CALLED = ["TRN2.3xlarge", "Trainium2", "neuroncore-v3", "NeuronCore", "neuroncore-v3 (lnc=2)"]


@pytest.mark.parametrize("wanted", CALLED)
def test_a_device_is_called_by_its_name_its_chip_and_what_names_it(trainium, wanted):
    chipless = trainium(device={"chip": None, "facts": FACTS})

    assert problems(chipless, device=wanted) == []


OTHERS = [text for name, text in FACTS.items() if name not in ("instance_type", "device_name")]


@pytest.mark.parametrize("wanted", [*OTHERS, "neuron", "v", "trainium", "Core-v3 (LNC=2)"])
def test_no_other_fact_and_no_part_of_a_word_is_a_device_s_name(trainium, wanted):
    assert len(OTHERS) == 6
    (problem,) = problems(trainium(device={"facts": FACTS}), device=wanted)

    assert f"wanted '{wanted}'" in problem


@pytest.mark.parametrize("wanted", ["trainium1", "trn2", "rn2.3xlarge"])
def test_another_device_than_the_one_wanted_is_a_problem(trainium, wanted):
    (problem,) = problems(trainium(), device=wanted)

    assert f"wanted '{wanted}'" in problem
    assert "NeuronCore-v3 (LNC=2), trainium2" in problem


def test_many_cases_are_counted_and_three_are_named(trainium):
    (problem,) = problems(*(trainium(n, backend="cpu") for n in range(5)))

    assert "5 of 5 cases" in problem
    assert problem.count("matmul[") == 3
    assert "and 2 more" in problem


def test_every_problem_stands_on_a_line_of_its_own(trainium):
    records = [
        trainium(0, backend="cpu"),
        trainium(1, status=Status.FALLBACK_TO_CPU),
        trainium(2, origin="simulated"),
    ]

    found = problems(*records, notices=["unfinished"], device="trainium3", least_ok=9)

    assert len(found) == 6
    assert all("\n" not in line and "; wanted" in line for line in found if "whole" not in line)


def write(folder, *records, cases=None):
    header = RunHeader(time="2026-11-22T02:17:33Z", cases=cases or [r.case for r in records])
    with create_run(folder, RUN, header) as writer:
        for record in records:
            writer.append(record)
        writer.finish()
    return folder / PATH


def test_what_is_printed_of_a_good_run(trainium, tmp_path, capsys):
    path = write(tmp_path, trainium(0), trainium(1))

    assert print_check(str(path), Expectation("neuron"), tmp_path)

    said = capsys.readouterr()
    assert "2 cases: 2 OK" in said.out
    assert "NeuronCore-v3 (LNC=2), trainium2" in said.out
    assert "SIMULATED" not in said.out
    assert said.err == ""


def test_failed_cases_are_counted_aloud_and_strict_makes_them_fail(trainium, tmp_path, capsys):
    wrong = [trainium(n, status=Status.NUMERIC_MISMATCH) for n in range(1, 4)]
    path = write(tmp_path, trainium(0), *wrong)
    words = ["check", str(path), "--backend", "neuron"]

    assert print_check(str(path), Expectation("neuron"), tmp_path)
    assert "4 cases: 3 NUMERIC_MISMATCH, 1 OK" in capsys.readouterr().out
    assert CliRunner().invoke(app, words).exit_code == 0
    strict = CliRunner().invoke(app, [*words, "--strict"])
    assert strict.exit_code == 1
    assert "problem: NUMERIC_MISMATCH in 3 of 4 cases" in strict.output
    assert "check: NOT what was asked for" in strict.output
    assert "no case failed" in strict.output


def test_problems_go_to_standard_error_and_a_stand_in_is_said_aloud(trainium, tmp_path, capsys):
    write(tmp_path, trainium(origin="simulated", device=SIMULATED))

    assert not print_check("", Expectation("neuron", least_ok=3), tmp_path)

    said = capsys.readouterr()
    assert said.out.startswith("SIMULATED: ")
    assert [line.split(": ")[0] for line in said.err.splitlines()] == ["problem", "problem"]


def test_an_unfinished_run_is_found_by_its_journal(trainium, make, tmp_path, capsys):
    done, missing = trainium(0), make.case(backend="neuron", params={"m": 7})
    write(tmp_path, done, cases=[done.case, missing])

    assert not print_check("", Expectation("neuron"), tmp_path)
    assert "1 of 2 cases have a record" in capsys.readouterr().err


def test_json_is_printed_alone(trainium, tmp_path, capsys):
    write(tmp_path, trainium(0, origin="simulated", device=SIMULATED))

    assert not print_check(RUN, Expectation("neuron"), tmp_path, as_json=True)

    said = capsys.readouterr()
    found = json.loads(said.out)
    assert said.err == ""
    assert found["simulated"] is True
    assert found["statuses"] == {"OK": 1}
    assert found["devices"] == ["simulated NeuronCore"]
    assert len(found["problems"]) == 1
