"""A stand-in's figures share no table and no comparison with those of real devices."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from trnbench.results.compare import compare
from trnbench.results.frame import frame_of
from trnbench.results.origin import OriginError, refuse_mixture
from trnbench.results.table import print_run


def printed(records):
    console = Console(file=io.StringIO(), width=160)
    print_run(records, Path("results/runs/some.jsonl"), console)
    return console.file.getvalue()


@pytest.fixture
def real(make):
    return make.record()


@pytest.fixture
def simulated(make):
    return make.record().model_copy(update={"origin": "simulated", "run": "stand-in-run"})


def test_a_comparison_across_is_refused_whichever_way(real, simulated):
    for a, b in (([real], [simulated]), ([simulated], [real]), ([real, simulated], [real])):
        with pytest.raises(OriginError, match="stand-in-run"):
            compare(frame_of(a), frame_of(b))


def test_a_published_figure_is_no_partner_of_a_simulated_one(real, simulated):
    published = real.model_copy(update={"origin": "published"})

    refuse_mixture([real], [published])
    with pytest.raises(OriginError):
        refuse_mixture([published], [simulated])


def test_simulated_runs_can_be_compared_and_say_what_they_are(simulated):
    comparison = compare(frame_of([simulated]), frame_of([simulated]))

    assert len(comparison.rows()) == 1
    assert "SIMULATED" in " ".join(comparison.warnings)


def test_a_run_of_both_has_two_tables(real, simulated):
    text = printed([simulated, real])
    above, _, below = text.partition("SIMULATED")

    assert below
    assert "1 measured" in above
    assert "1 simulated" not in above
    assert "1 simulated" in below
    assert "1 of 1 cases OK" in above
    assert "1 of 1 cases OK" in below


def test_a_simulated_run_has_no_table_of_real_devices(simulated):
    text = printed([simulated])

    assert text.startswith("SIMULATED")
    assert text.count("cases OK") == 1


def test_real_runs_never_speak_of_simulation(real):
    assert "SIMULATED" not in printed([real])
    assert "SIMULATED" not in " ".join(compare(frame_of([real]), frame_of([real])).warnings)
