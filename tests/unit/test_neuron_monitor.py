"""The reader of neuron-monitor's stream: documented records, real ones, and broken ones."""

from __future__ import annotations

import csv
import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import pytest

from trnbench.backends.monitor_stream import LONGEST_LINE, NAMES, MonitorFeed, monitor_config
from trnbench.backends.neuron_monitor import MonitorError, read_record
from trnbench.backends.sensors import NEURON_MONITOR, level
from trnbench.bench.windows import figure_of, longest_busy_run

SAMPLES = Path(__file__).parents[2].parent / "shared" / "neuron_samples"
KINDS = {kind.name: kind for kind in NEURON_MONITOR}

needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the outputs of real Neuron tools aren't here"
)


def core(busy=0.0, flops=0, **more):
    return {"neuroncore_utilization": busy, "flops": flops, **more}


def runtime(cores, completed=0, p50=None, device_bytes=0, period=1.0, **more):
    latency = None if p50 is None else dict.fromkeys(("p0", "p50", "p100"), p50)
    summary = {
        "completed": completed,
        "completed_with_err": 0,
        "completed_with_num_err": 0,
        "timed_out": 0,
        "incorrect_input": 0,
        "failed_to_queue": 0,
    }
    return {
        "pid": 4321,
        "neuron_runtime_tag": "tag-of-somebody",
        "error": "",
        "report": {
            "neuroncore_counters": {"period": period, "neuroncores_in_use": cores, "error": ""},
            "execution_stats": {
                "period": period,
                "error_summary": dict.fromkeys(("generic", "numerical", "hardware"), 0),
                "execution_summary": summary,
                "latency_stats": {"total_latency": latency, "device_latency": latency},
                "error": "",
            },
            "memory_used": {
                "period": period,
                "neuron_runtime_used_bytes": {
                    "host": 2 * device_bytes,
                    "neuron_device": device_bytes,
                    "usage_breakdown": {"host": {}, "neuroncore_memory_usage": {}},
                },
                "loaded_models": [{"name": "/home/somebody/graph.neff", "uuid": "feedbeef"}],
                "error": "",
            },
            **more,
        },
    }


def document(*runtimes, ecc=0, period=1.0):
    """A record as the guide has it, of a trn2.48xlarge with two physical cores to a core."""
    devices = [
        {
            "neuron_device_index": index,
            "mem_ecc_corrected": 7,
            "mem_ecc_uncorrected": ecc,
            "sram_ecc_corrected": 0,
            "sram_ecc_uncorrected": ecc,
        }
        for index in range(2)
    ]
    return {
        "neuron_runtime_data": list(runtimes),
        "system_data": {
            "neuron_hw_counters": {"period": period, "neuron_devices": devices, "error": ""}
        },
        "instance_info": {
            "instance_name": "name-of-somebody",
            "instance_id": "i-00000000000000002",
            "instance_type": "trn2.48xlarge",
            "subnet_id": "subnet-of-somebody",
            "error": "",
        },
        "neuron_hardware_info": {
            "neuron_device_type": "trainium2",
            "neuron_device_version": "v4",
            "neuroncore_version": "v3d",
            "neuron_device_count": 16,
            "neuron_device_memory_size": 96 * 2**30,
            "neuroncore_per_device_count": 4,
            "logical_neuroncore_config": 2,
            "error": "",
        },
    }


def trn2():
    """Two processes on core 0 and 2; each lists all cores."""
    parts = {
        "nc_v3.0": {"neuroncore_utilization": 21.0},
        "nc_v3.1": {"neuroncore_utilization": 63.0},
    }
    first = {"0": core(42.0, 8_000_000, v3d=parts), "2": core(), "10": core()}
    second = {"0": core(), "2": core(99.5, 30_000_000), "10": core()}
    return document(
        runtime(first, completed=120, p50=0.004, device_bytes=1000),
        runtime(second, completed=4000, p50=0.00025, device_bytes=64),
        ecc=3,
    )


def feed(*documents, period_s=1.0, gap_s=1.0):
    """(the feed, its readings by name, one list a document)."""
    stream = MonitorFeed(period_s)
    found = []
    for number, one in enumerate(documents):
        line = one if isinstance(one, bytes) else json.dumps(one).encode()
        readings = stream.take(line + b"\n", 100.0 + number * gap_s)
        found.append({reading.name: reading for reading in readings})
    return stream, found


def read(name):
    return [read_record(line) for line in (SAMPLES / name).read_text().splitlines()]


def test_a_documented_trn2_record():
    record = read_record(json.dumps(trn2()))
    first, second = record.runtimes

    assert [core.index for core in first.counters.cores] == [0, 2, 10]
    assert first.counters.cores[0].busy_percent == 42.0
    assert first.counters.cores[0].flops_per_s == 8_000_000
    assert first.counters.cores[0].physical_percent == {"nc_v3.0": 21.0, "nc_v3.1": 63.0}
    assert first.counters.cores[1].physical_percent == {}
    assert (first.executions.completed, first.executions.failed) == (120, 0)
    assert second.executions.device_latency_p50_s == 0.00025
    assert (first.memory.device_bytes, first.memory.host_bytes) == (1000, 2000)
    assert record.ecc.devices[1].mem_uncorrected == 3
    assert record.hardware.core_version == "v3d"
    assert record.hardware.physical_cores_per_core == 2
    assert record.hardware.device_memory_bytes == 96 * 2**30


def test_cores_are_the_most_over_runtimes_and_tallies_their_sum():
    _, (found,) = feed(trn2())

    assert {name: reading.mean for name, reading in found.items()} == {
        "neuron.utilization": 99.5,
        "neuron.flops": 38_000_000,
        "neuron.executions": 4120,
        "neuron.device_latency_p50": 0.00025,
        "neuron.device_memory": 1064,
        "neuron.ecc_uncorrected": 12,
    }


def test_one_core_that_two_runtimes_list_is_counted_once():
    cores = {"0": core(80.0, 5_000)}
    _, (found,) = feed(document(runtime(cores), runtime(cores)))

    assert found["neuron.flops"].mean == 5_000
    assert found["neuron.utilization"].mean == 80.0


def test_a_runtime_that_lists_a_core_without_using_it_takes_nothing_away():
    _, (found,) = feed(document(runtime({"0": core(80.0, 5_000)}), runtime({"0": core()})))

    assert found["neuron.utilization"].mean == 80.0
    assert found["neuron.flops"].mean == 5_000


def test_what_the_tool_calls_effective_flops_goes_before_flops():
    both = core(50.0, 1, effective_flops=2_000)
    record = read_record(json.dumps(document(runtime({"0": both}))))

    assert record.runtimes[0].counters.cores[0].flops_per_s == 2_000


def test_nothing_that_identifies_somebody_is_held():
    text = repr(dataclasses.asdict(read_record(json.dumps(trn2()))))

    assert "trainium2" in text
    for secret in ("somebody", "i-0000", "subnet", "trn2.48xlarge", "feedbeef", "neff"):
        assert secret in json.dumps(trn2())
        assert secret not in text


def test_a_section_in_error_gives_no_figure():
    one = runtime({"0": core(50.0, 1_000)}, completed=5)
    one["report"]["neuroncore_counters"]["error"] = "open /proc/4321/stat: no such file"
    record = read_record(json.dumps(document(one)))

    assert record.runtimes[0].counters is None
    assert record.runtimes[0].executions.completed == 5


def test_the_period_is_the_one_stated_not_the_one_asked_for():
    _, (found,) = feed(document(runtime({"0": core(10.0)}, completed=50, period=5.0)))

    assert found["neuron.utilization"].begin_s == 95.0
    assert found["neuron.executions"].mean == 10.0


def test_a_section_without_a_period_is_of_the_time_since_the_record_before():
    one = runtime({"0": core(10.0)}, completed=30)
    del one["report"]["execution_stats"]["period"]
    _, (first, second) = feed(document(one), document(one), gap_s=3.0)

    assert "neuron.executions" not in first
    assert second["neuron.executions"].mean == 10.0
    assert second["neuron.executions"].begin_s == 100.0


def test_a_first_record_of_no_time_gives_no_figure():
    _, (first, second) = feed(
        document(runtime({"0": core(80.0)}, period=0.0005)), document(runtime({"0": core(80.0)}))
    )

    assert "neuron.utilization" not in first
    assert second["neuron.utilization"].mean == 80.0


def test_no_runtime_means_idle_and_no_word_of_runtimes_means_nothing():
    silent = document() | {"neuron_runtime_data": None}
    _, (_, idle, unknown) = feed(document(), document(), silent)

    assert {n: r.mean for n, r in idle.items() if n != "neuron.ecc_uncorrected"} == {
        "neuron.utilization": 0.0,
        "neuron.flops": 0.0,
        "neuron.executions": 0.0,
    }
    assert set(unknown) == {"neuron.ecc_uncorrected"}


def places(value, path=()):
    """The path of everything inside a document."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in entries:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def replaced(path, new):
    copy = json.loads(json.dumps(trn2()))
    inside = copy
    for key in path[:-1]:
        inside = inside[key]
    if new is KeyError and isinstance(inside, dict):
        del inside[path[-1]]
    elif new is not KeyError:
        inside[path[-1]] = new
    return copy


def test_any_part_may_be_null_or_missing():
    paths = list(places(trn2()))
    assert len(paths) > 100

    for path in paths:
        for new in (None, KeyError):
            if path == ("neuron_runtime_data",):
                continue
            record = read_record(json.dumps(replaced(path, new)))
            assert record.runtimes, path
            assert feed(replaced(path, new))[0].refused == 0, path


@pytest.mark.parametrize(
    ("path", "value", "wanted"),
    [
        (("neuron_runtime_data",), {}, "neuron_runtime_data is an object; wanted an array"),
        (("neuron_runtime_data", 0), 7, r"neuron_runtime_data\[0\] is .*; wanted an object"),
        (("system_data",), [], "system_data is an array; wanted an object"),
        (
            ("neuron_runtime_data", 1, "report", "neuroncore_counters", "period"),
            "1.0",
            r"neuron_runtime_data\[1\].*neuroncore_counters.period is a string; wanted a number",
        ),
        (
            (
                "neuron_runtime_data",
                0,
                "report",
                "execution_stats",
                "execution_summary",
                "completed",
            ),
            1.5,
            "completed is .*; wanted a whole number",
        ),
        (
            (
                "neuron_runtime_data",
                0,
                "report",
                "execution_stats",
                "execution_summary",
                "completed",
            ),
            -1,
            "completed is a number out of range",
        ),
        (
            (
                "neuron_runtime_data",
                0,
                "report",
                "neuroncore_counters",
                "neuroncores_in_use",
                "0",
                "flops",
            ),
            10**30,
            "flops is a number out of range",
        ),
        (
            ("neuron_runtime_data", 0, "report", "neuroncore_counters", "neuroncores_in_use"),
            {"core of somebody": {}},
            "neuroncores_in_use has a key that is no core's number",
        ),
        (
            ("neuron_hardware_info", "neuron_device_count"),
            True,
            "neuron_device_count is a truth value; wanted a number",
        ),
    ],
)
def test_what_is_of_another_form_is_refused_by_its_place(path, value, wanted):
    with pytest.raises(MonitorError, match=wanted) as caught:
        read_record(json.dumps(replaced(path, value)))

    assert "somebody" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        b"usage: neuron-monitor [parameters]",
        json.dumps(trn2()).encode()[:-40],
        b"[]",
        b"null",
        b"3",
        b'"text"',
        b"{}",
        b'{"message": "i-00000000000000002"}',
        b'{"neuron_runtime_data": [], "system_data": {"x": NaN}}',
        b'{"neuron_runtime_data": [{"pid": 1e999}]}',
        b'{"neuron_runtime_data": [{"pid": ' + b"9" * 5000 + b"}]}",
        b"[" * 100_000,
        b"\xff\xfe{}",
        b'{"neuron_runtime_data": [{"pid": "4321"}]}',
    ],
)
def test_a_line_that_is_no_record_is_counted_and_the_stream_goes_on(line):
    stream, (before, broken, after) = feed(trn2(), line, trn2())

    assert stream.refused == 1
    assert broken == {}
    assert {n: r.mean for n, r in after.items()} == {n: r.mean for n, r in before.items()}
    with pytest.raises(MonitorError) as caught:
        read_record(line)
    assert "i-0000" not in str(caught.value)


def test_lines_may_come_in_any_pieces():
    stream = MonitorFeed(1.0)
    data = json.dumps(trn2()).encode() + b"\n" + json.dumps(document()).encode() + b"\n\n"
    readings = [
        reading
        for at in range(0, len(data), 7)
        for reading in stream.take(data[at : at + 7], 100.0 + at * 0.001)
    ]

    assert stream.refused == 0
    assert [r.mean for r in readings if r.name == "neuron.ecc_uncorrected"] == [12, 0]


def test_a_line_without_end_is_given_up():
    stream = MonitorFeed(1.0)
    for _ in range(LONGEST_LINE // 2**20 + 1):
        stream.take(b" " * 2**20, 100.0)
    assert stream.refused == 1

    (*_, last) = stream.take(b"\n" + json.dumps(trn2()).encode() + b"\n", 101.0)
    assert last.name == "neuron.ecc_uncorrected"


def test_sensors_without_a_figure_say_why():
    stream = MonitorFeed(1.0)
    assert stream.absent == dict.fromkeys(NAMES, "neuron-monitor has printed no record yet")

    stream.take(b"usage: neuron-monitor\n" + json.dumps(document()).encode(), 100.0)
    stream.end(3)

    assert set(stream.absent) == NAMES
    reason = stream.absent["neuron.flops"]
    assert "2 lines are no records, the last one: cut off" in reason
    assert "ended with exit status 3" in reason


def test_the_configuration_asks_for_whole_seconds_and_our_tag():
    assert monitor_config(1.0, None)["period"] == "1s"
    assert monitor_config(0.25, None)["period"] == "1s"
    assert monitor_config(2.0, None)["period"] == "2s"
    assert monitor_config(1.0, None)["neuron_runtimes"][0]["tag_filter"] == ".*"
    assert monitor_config(1.0, "a.b")["neuron_runtimes"][0]["tag_filter"] == r"^a\.b$"


# ------------------------------------------------------------------ outputs of real instances


@needs_samples
def test_real_inf1_with_four_runtimes():
    (record,) = read("neuron-monitor_inf1.xlarge_4runtimes.jsonl")

    assert [r.pid for r in record.runtimes] == [20843, 21050, 21411, 21741]
    assert [r.executions.completed for r in record.runtimes][:3] == [50, 52, 43]
    assert record.runtimes[0].executions.device_latency_p50_s == 0.003294706344604492
    assert [len(r.counters.cores) for r in record.runtimes] == [4] * 4
    assert record.runtimes[1].counters.cores[1].busy_percent == 3.0803098003189486
    assert record.runtimes[1].counters.cores[0].flops_per_s is None
    assert record.runtimes[0].memory.device_bytes == 63105088
    assert record.runtimes[0].counters.period_s == 5.000727893


@needs_samples
def test_real_inf2_busy():
    (record,) = read("neuron-monitor_inf2.xlarge_busy_REASSEMBLED.jsonl")
    (one,) = record.runtimes

    assert one.counters.cores[0].flops_per_s == 875590474948
    assert one.counters.cores[0].busy_percent == 89.40087251059674
    assert one.counters.cores[1].busy_percent == 0
    assert one.executions.completed == 816
    assert one.executions.device_latency_p50_s == 0.0011217594146728516
    assert one.memory.device_bytes == 141649980
    assert record.ecc.devices[0].mem_uncorrected == 0
    assert record.ecc.period_s == 1.999993528
    assert record.hardware.device_type == "inferentia2"
    assert record.hardware.cores_per_device == 2
    # Rate and latency are independent: together they are the share that the core was busy.
    line = (SAMPLES / "neuron-monitor_inf2.xlarge_busy_REASSEMBLED.jsonl").read_bytes()
    _, (found,) = feed(line.strip())
    busy = found["neuron.executions"].mean * found["neuron.device_latency_p50"].mean
    assert 100 * busy == pytest.approx(found["neuron.utilization"].mean, rel=0.03)


@needs_samples
def test_real_trn1_idle_first_record():
    (record,) = read("neuron-monitor_trn1.2xlarge_idle_first_record.jsonl")
    line = (SAMPLES / "neuron-monitor_trn1.2xlarge_idle_first_record.jsonl").read_bytes().strip()
    stream, (found,) = feed(line)

    assert record.runtimes == ()
    assert record.ecc is None
    assert record.hardware.device_type == "trainium"
    assert record.hardware.device_count == 1
    assert stream.refused == 0
    assert found == {}


@needs_samples
def test_real_null_sections():
    records = read("neuron-monitor_null_sections_SYNTHETIC.jsonl")

    assert [len(r.runtimes) if r.runtimes is not None else None for r in records] == [1, 1, None]
    assert all(record.ecc is None for record in records)
    assert records[0].runtimes[0].counters is None
    assert records[0].runtimes[0].executions.completed is None
    assert records[0].runtimes[0].executions.device_latency_p50_s is None
    assert records[1].runtimes[0].executions is None


@needs_samples
def test_the_excerpt_in_words_is_refused():
    lines = (SAMPLES / "neuron-monitor_two_runtimes_excerpt_trn1.txt").read_bytes().splitlines()
    assert len(lines) == 3

    stream, found = feed(*lines)

    assert stream.refused == 3
    assert found == [{}, {}, {}]
    assert "no JSON" in stream.absent["neuron.flops"]


@needs_samples
def test_the_other_samples_are_refused_line_by_line():
    others = [
        path
        for path in sorted(SAMPLES.iterdir())
        if path.suffix != ".jsonl" and path.name != "README.md"
    ]
    assert len(others) > 15

    for path in others:
        stream, found = feed(*path.read_bytes().splitlines())
        assert not any(found), path.name
        assert stream.refused > 0, path.name


def series(log):
    with (SAMPLES / "neuron-monitor_period_series_trn1.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if log in row["source"]]
    assert rows
    return rows


def steady(rows, name, column):
    ends = [float(row["t_s"]) for row in rows]
    readings = [
        level(name, end - float(row["period_s"]), end, float(row[column]))
        for row, end in zip(rows, ends, strict=True)
    ]
    return readings, figure_of(KINDS[name], readings, readings[0].begin_s, ends[-1])


@needs_samples
def test_a_steady_figure_leaves_out_the_periods_that_the_work_filled_in_part():
    rows = series("effective-flops-edges")
    readings, sensor = steady(rows, "neuron.flops", "effective_flops")
    busy = [reading.mean * 1e-12 for reading in longest_busy_run(readings)]

    assert sum(busy) / len(busy) == pytest.approx(61.76, abs=0.005)
    # The kernel itself made 71.93 TFLOP/s.
    assert sensor.mean * 1e-12 == pytest.approx(72.13, abs=0.005)
    assert (sensor.least, sensor.most) == (71.02e12, 72.57e12)
    assert sensor.samples == 5
    _, busy_percent = steady(rows, "neuron.utilization", "neuroncore_utilization_pct")
    assert busy_percent.mean == pytest.approx(98.92, abs=0.01)


@needs_samples
def test_completed_is_a_tally_of_its_period():
    rows = series("graph-replay-counter")
    documents = [
        document(runtime({}, completed=int(row["completed"]), period=float(row["period_s"])))
        for row in rows
    ]
    _, found = feed(*documents, period_s=5.0, gap_s=5.0)
    rates = [
        (one["neuron.executions"].mean, float(row["period_s"]))
        for one, row in zip(found, rows, strict=True)
    ]

    assert sum(rate * period_s for rate, period_s in rates) == pytest.approx(60_003)
    # As differences of a total they would be another number altogether.
    counts = [int(row["completed"]) for row in rows]
    assert sum(later - earlier for earlier, later in pairwise(counts)) == 0


@needs_samples
def test_the_configuration_is_of_the_form_that_gave_periods_of_a_second():
    used = json.loads((SAMPLES / "neuron-monitor_config_used.json").read_text())
    ours = monitor_config(1.0, None)

    assert ours["period"] == used["period"]
    for part in ("neuron_runtimes", "system_metrics"):
        assert ours.keys() == used.keys()
        theirs = json.dumps(used[part])
        for metric in ours[part][0].get("metrics", ours[part]):
            assert json.dumps({"type": metric["type"]})[1:-1] in theirs
