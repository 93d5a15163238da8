"""An open run: what is still to do, and what it keeps when it is taken up again."""

from __future__ import annotations

import pytest

from trnbench.bench.errors import UsageError
from trnbench.bench.options import RunOptions
from trnbench.bench.session import open_session
from trnbench.results.record import Failure, Status


class KilledError(Exception):
    """Stands for the end of the program: the session is left as a kill leaves it."""


def opened(out, keys, **changes):
    return open_session(keys, RunOptions(out=out, threads=1, **changes), "measure")


def test_the_clock_is_the_highest_of_all_processes_of_all_cases(tmp_path, make):
    keys = [make.case(configuration=name) for name in ("first", "second")]
    with opened(tmp_path, keys) as session:
        assert session.clock_hz("cpu") is None
        for number, (key, clock_hz) in enumerate(zip(keys, (2.0e9, 3.0e9), strict=True)):
            session.keep(key, make.outcome(number).model_copy(update={"clock_hz": clock_hz}), None)

        assert session.clock_hz("cpu") == 3.0e9
        assert session.clock_hz("cuda") is None


def test_a_resumed_run_keeps_its_label_and_its_outcomes(tmp_path, make):
    key = make.case()
    with pytest.raises(KilledError), opened(tmp_path, [key], label="x", processes=2) as session:
        session.keep(key, make.outcome(0), make.device())
        raise KilledError

    with opened(tmp_path, [key], processes=2, resume="") as again:
        assert again.label == "x"
        assert not again.is_open(key, 0)
        assert again.is_open(key, 1)
        assert again.device(key.backend) is not None
        again.keep(key, make.outcome(1), None)
        assert not again.is_open(key)


def test_a_run_is_not_taken_up_under_another_label(tmp_path, make):
    with pytest.raises(KilledError), opened(tmp_path, [make.case()], label="x"):
        raise KilledError

    with pytest.raises(UsageError, match="label 'x', 'y' given"):
        opened(tmp_path, [make.case()], label="y", resume="")


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (Status.CRASHED, False),
        (Status.UNSUPPORTED, False),
        (Status.NUMERIC_MISMATCH, False),
        (Status.NOT_STEADY, True),
        (Status.RECOMPILED, True),
    ],
)
def test_what_another_process_would_only_repeat_is_not_repeated(tmp_path, make, status, more):
    key = make.case()
    with opened(tmp_path, [key]) as session:
        failed = make.outcome(0, None, status)
        session.keep(key, failed, None)

        assert session.is_open(key) == more


def test_what_a_workload_said_is_kept_without_paths(tmp_path, make):
    key = make.case()
    said = Failure(message="no file /home/somebody/secret/weights.pt", kind="OSError")
    with opened(tmp_path, [key]) as session:
        failed = make.outcome(0, None, Status.RUNTIME_ERROR).model_copy(update={"failure": said})
        session.keep(key, failed, None)

        (kept,) = session.outcomes(key)
        assert "somebody" not in kept.failure.message
        assert "weights.pt" in kept.failure.message
