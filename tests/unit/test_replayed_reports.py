"""Slow-downs that users of these stacks have reported, replayed: one line must name size and cause.

Sizes are those of public reports; the records are made up.
"""

from __future__ import annotations

import pytest

from trnbench.results.compare import compare
from trnbench.results.difference_table import explain
from trnbench.results.frame import frame_of
from trnbench.results.record import Failure, Status

CALLS = 100
SPREAD = (1.0, 1.001, 0.999)


@pytest.fixture
def measured(make):
    """Records of one case of one run: process times in seconds, and what else they say."""

    def build(
        time_s, number=0, *, day=20, device_s=None, environment=None, case=None, **of_process
    ):
        def of(factor):
            samples = make.samples(time_s * factor, calls=CALLS)
            if device_s is not None:
                ticks = [device_s * factor * CALLS * 1e9] * len(samples.wall_ns)
                samples = samples.model_copy(update={"device_ns": ticks})
            return samples

        record = make.record(
            case or make.case(backend="neuron", dtype="bf16"),
            medians=tuple(time_s * factor for factor in SPREAD),
            run=f"202611{day}T00000{number}Z-aaaaaa",
            device=make.device(name="Trainium2", chip="trainium2", driver="2.24", cores_used=1),
            environment=make.environment(**environment or {}),
        )
        processes = [
            process.model_copy(update={"sustained": of(factor), **of_process})
            for process, factor in zip(record.processes, SPREAD, strict=True)
        ]
        return record.model_copy(update={"processes": processes})

    return build


def line(a, b):
    (row,) = compare(frame_of(a), frame_of(b)).rows()
    return row, explain(row)


def test_seven_times_slower_after_an_upgrade_of_the_sdk(measured):
    row, said = line(
        [measured(2e-3, device_s=1.9e-3, environment={"versions": {"neuronx-cc": "2.20"}})],
        [
            measured(
                14e-3, day=21, device_s=13.9e-3, environment={"versions": {"neuronx-cc": "2.21"}}
            )
        ],
    )

    assert row.verdict == "SLOWER"
    assert "7.00 times the time" in said
    assert "device time 1.90 ms -> 13.9 ms, launch gap unchanged (100 µs)" in said
    assert "neuronx-cc: 2.20 -> 2.21" in said


def test_a_launch_gap_that_grew_while_the_device_takes_as_long(measured):
    row, said = line(
        [measured(63e-6, device_s=50e-6)],
        [measured(230e-6, day=21, device_s=50e-6)],
    )

    assert row.verdict == "SLOWER"
    assert "3.65 times the time" in said
    assert "launch gap 13.0 µs -> 180 µs, device time unchanged (50.0 µs)" in said


def test_training_that_takes_an_eighth_longer_wants_several_runs(make, measured):
    training = make.case(workload="decoder", phase="training", backend="neuron", dtype="bf16")

    def runs(factor, day):
        return [
            measured(0.1 * factor * mood, number, day=day, device_s=0.09 * factor, case=training)
            for number, mood in enumerate((1.0, 1.01, 0.99))
        ]

    single, advice = line(runs(1, 20)[:1], runs(1.12, 21)[:1])
    several, said = line(runs(1, 20), runs(1.12, 21))

    assert single.verdict == "UNPAIRED"
    assert "12 % more time" in advice
    assert "measure both again" in advice
    assert several.verdict == "SLOWER"
    assert "12 % more time" in said
    assert "device time 90.0 ms -> 101 ms" in said


def test_an_operator_that_newly_falls_back_to_the_host(make, measured):
    before = measured(1e-3)
    after = measured(5e-3, day=21, fallbacks=["aten::cumsum"]).model_copy(
        update={
            "status": Status.FALLBACK_TO_CPU,
            "failure": Failure(kind="Fallback", message="aten::cumsum ran on the host"),
        }
    )
    row, said = line([before], [after])

    assert row.verdict == "NEWLY_FAILING"
    assert "OK -> FALLBACK_TO_CPU" in said
    assert "aten::cumsum newly falls back to the CPU" in said


def test_a_shift_of_three_in_a_thousand_is_the_same(measured):
    row, said = line([measured(1e-3)], [measured(1.003e-3, day=21)])

    assert row.verdict == "SAME"
    assert "0.30 % more time" in said
    assert "within 2.0 %" in said


def test_a_compilation_that_takes_longer_is_noted_though_calls_do_not(measured):
    row, _ = line(
        [measured(1e-3, compile_ns=60 * 10**9, cache_state="cold")],
        [measured(1e-3, day=21, compile_ns=420 * 10**9, cache_state="cold")],
    )

    assert row.verdict == "SAME"
    assert "compile, cold: 60.0 s -> 420 s" in row.notes
    assert {part.name: (part.a, part.b) for part in row.parts}["compile, cold"] == (60.0, 420.0)


def test_a_graph_that_broke_a_clock_that_fell_and_another_dtype_are_named(measured):
    _, said = line(
        [measured(1e-3, graph_breaks=0, clock_hz=3.0e9, executed_dtype="bf16")],
        [measured(3e-3, day=21, graph_breaks=2, clock_hz=2.0e9, executed_dtype="fp32")],
    )

    assert "graph breaks 0 -> 2" in said
    assert "clock 3.00 GHz -> 2.00 GHz" in said
    assert "executed in bf16 -> fp32" in said
