"""One axis of the cases held against itself."""

from __future__ import annotations

import pytest

from trnbench.results.axes import axis_column, split_by
from trnbench.results.compare import compare
from trnbench.results.frame import frame_of
from trnbench.results.lines import StoreError


@pytest.fixture
def run(make):
    return frame_of(
        [
            make.record(make.case(dtype=dtype, mode=mode), medians=(t, 1.001 * t, 0.999 * t))
            for dtype, mode, t in (
                ("fp32", "eager", 4e-3),
                ("bf16", "eager", 2e-3),
                ("fp32", "compiled", 3e-3),
                ("bf16", "compiled", 1e-3),
            )
        ]
    )


def test_each_value_is_held_against_the_first(run):
    ((a_name, b_name, a, b, leave_out),) = split_by(run, axis_column(run, "dtype"))
    rows = compare(a, b, leave_out=leave_out).rows()

    assert (a_name, b_name, leave_out) == ("dtype fp32", "dtype bf16", ("dtype",))
    assert {(row.a.mode, row.b.mode): row.verdict for row in rows} == {
        ("eager", "eager"): "FASTER",
        ("compiled", "compiled"): "FASTER",
    }
    assert {round(row.ratio, 3) for row in rows} == {0.5, 0.333}


def test_another_value_may_be_the_baseline(run):
    ((a_name, b_name, *_),) = split_by(run, "mode", "compiled")

    assert (a_name, b_name) == ("mode compiled", "mode eager")
    with pytest.raises(StoreError, match="no mode 'traced'; there are eager, compiled"):
        list(split_by(run, "mode", "traced"))


def test_an_sdk_and_a_chip_are_axes_too(make):
    frame = frame_of(
        [
            make.record(run="a", environment=make.environment(versions={"torch_xla": "2.8"})),
            make.record(
                run="b",
                environment=make.environment(versions={"torch_xla": "2.9"}),
                device=make.device(chip="trainium1"),
            ),
        ]
    )

    assert axis_column(frame, "sdk") == "version.torch_xla"
    assert axis_column(frame, "torch_xla") == "version.torch_xla"
    assert axis_column(frame, "run") == "run"
    with pytest.raises(
        StoreError, match=r"--by 'dtype' given.*wanted one of run, version.torch_xla"
    ):
        axis_column(frame, "dtype")
