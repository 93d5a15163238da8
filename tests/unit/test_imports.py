"""Other programs' results as records: every figure with its unit, and nothing believed blindly."""

from __future__ import annotations

import copy
import json
import os
import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trnbench.bench.errors import UsageError
from trnbench.bench.import_results import run_import_command
from trnbench.results.imports import given as given_module
from trnbench.results.imports.formats import FORMATS, import_file
from trnbench.results.lines import StoreError
from trnbench.results.printable import printable
from trnbench.results.published import COLUMNS
from trnbench.results.record import Status
from trnbench.results.store import read_records
from trnbench.results.validate import validate

# Files as these programs write them, made up and short.

STATS = {
    "min": 1e-3,
    "max": 3e-3,
    "mean": 2e-3,
    "stddev": 1e-3,
    "rounds": 3,
    "median": 2e-3,
    "iqr": 1e-3,
    "q1": 1.5e-3,
    "q3": 2.5e-3,
    "iqr_outliers": 0,
    "stddev_outliers": 1,
    "outliers": "1;0",
    "ld15iqr": 1e-3,
    "hd15iqr": 3e-3,
    "ops": 500.0,
    "total": 6e-3,
    "data": [1e-3, 2e-3, 3e-3],
    "iterations": 4,
}
PYTEST_BENCHMARK = {
    "machine_info": {"node": "secret-host"},
    "commit_info": {"id": "f00d", "dirty": False},
    "benchmarks": [
        {
            "group": None,
            "name": "test_sum[10]",
            "fullname": "tests/test_sum.py::test_sum[10]",
            "params": {"n": 10},
            "param": "10",
            "extra_info": {},
            "options": {"disable_gc": False},
            "stats": STATS,
        }
    ],
    "datetime": "2026-11-22T02:17:33.123456+00:00",
    "version": "5.3.1",
}
TORCH = [
    {
        "number_per_run": 100,
        "raw_times": [1e-3, 2e-3, 3e-3],
        "task_spec": {
            "stmt": "x + x",
            "setup": "pass",
            "global_setup": "",
            "label": "add",
            "sub_label": "1000",
            "description": "main",
            "env": None,
            "num_threads": 2,
        },
        "metadata": None,
    }
]
NEURONPERF = [
    {
        "NeuronPerf_version": "1.8.0",
        "model_name": "bert",
        "model_filename": "/home/someone/bert.pt",
        "device_type": "neuron",
        "instance_type": "inf2.xlarge",
        "batch_size": 8,
        "n_models": 2,
        "workers_per_model": 2,
        "pipeline_size": 1,
        "performance_level": 3,
        "status": "finished",
        "total_infs": 4000,
        "total_s": 5.0,
        "throughput_avg": 800.5,
        "throughput_peak": 900.0,
        "latency_ms_p0": 9.0,
        "latency_ms_p50": 10.0,
        "latency_ms_p95": 12.0,
        "latency_ms_p99": 13.0,
    }
]
NCCL_HEADING = """\
# nThread 1 nGpus 1 minBytes 8 maxBytes 1073741824 step: 2(factor) warmup iters: 5 iters: 20
#
# Using devices
#  Rank  0 Group  0 Pid   6899 on secret-host device  0 [0000:04:00] NVIDIA H100 80GB HBM3
#  Rank  1 Group  0 Pid   6900 on secret-host device  1 [0000:05:00] NVIDIA H100 80GB HBM3
#  Rank  2 Group  0 Pid   6901 on secret-host device  2 [0000:0b:00] NVIDIA H100 80GB HBM3
#  Rank  3 Group  0 Pid   6902 on secret-host device  3 [0000:0c:00] NVIDIA H100 80GB HBM3
#
#                                                  out-of-place              in-place
#  size   count   type  redop  root    time  algbw  busbw #wrong   time  algbw  busbw #wrong
#   (B) (elements)                      (us) (GB/s) (GB/s)         (us) (GB/s) (GB/s)
"""
NCCL = (
    "$ mpirun -np 4 ./build/all_reduce_perf -b 8 -e 1G\n"
    + NCCL_HEADING
    + "      1024   256  float  sum  -1   20.00   0.05   0.08      0   25.00   0.04   0.06      0\n"
    + "1073741824 268435456 float sum -1 10000  107.37 161.06      0   12500  85.90 128.85      2\n"
    + "# Out of bounds values : 2 FAILED\n# Avg bus bandwidth    : 72.5\n"
)
NCCL_JSON = {
    "version": 2,
    "args": ["/opt/secret/build/all_gather_perf", "-b", "8"],
    "env": ["AWS_SECRET=1"],
    "config": {
        "devices": [
            {"rank": r, "group": 0, "hostname": "secret-host", "device_info": "H100"}
            for r in range(2)
        ]
    },
    "results": [
        {
            "size": 1000000,
            "count": 250000,
            "type": "bfloat16",
            "redop": "none",
            "root": "    -1",
            "out_of_place": {"time": 100.0, "alg_bw": 10.0, "bus_bw": 5.0, "nwrong": 0.0},
            "in_place": {"time": 200.0, "alg_bw": 5.0, "bus_bw": 2.5, "nwrong": None},
        }
    ],
    "out_of_bounds": {"count": 0, "okay": "true"},
}
NCCOM = """\
$ nccom-test -r 2 allr -b 1M -e 4M -f 4 -d uint8
    size(B)    count(elems)     type    time:avg(us)    algbw(GB/s)    busbw(GB/s)
    1048576         1048576    uint8            23.5          44.62          44.62
    4194304         4194304    uint8            80.0          52.43          52.43
"""


def published_table(**changes):
    row = dict.fromkeys(COLUMNS, "") | {
        "id": "r1",
        "source_repo_or_doc": "a/repo",
        "source_path": "docs/x.md",
        "source_date": "2026-01-02",
        "chip": "H100-SXM",
        "n_devices": "1",
        "workload": "gemm",
        "phase": "op",
        "model_params_or_shape": '"{""op"": ""gemm"", ""m"": 1024, ""n"": 1024, ""k"": 1024}"',
        "dtype": "bf16",
        "metric": "time",
        "value": "1",
        "unit": "ms",
        "time_s": "0.001",
        "flops": "2147480000",
    }
    row |= changes
    return f"{','.join(COLUMNS)}\n{','.join(row[name] for name in COLUMNS)}\n"


EXAMPLES = {
    "pytest-benchmark": json.dumps(PYTEST_BENCHMARK),
    "torch-benchmark": json.dumps(TORCH),
    "neuronperf": json.dumps(NEURONPERF),
    "nccl-tests": NCCL,
    "nccom-test": NCCOM,
    "published": published_table(),
}


@pytest.fixture
def brought(tmp_path):
    """Imports a text, or what is to be JSON: its records."""

    def bring(content, form=None, name="theirs.txt"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return list(import_file(path, form).records)

    return bring


def changed(document, value, *path):
    """The document with another value at this place."""
    made = copy.deepcopy(document)
    place = made
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return made


# All formats


def test_there_is_an_example_of_every_format():
    assert EXAMPLES.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_format_is_found_out(tmp_path, name):
    path = tmp_path / "x"
    path.write_text(EXAMPLES[name])

    assert import_file(path).form == name


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_others_say_is_published_and_says_where_from(brought, name):
    for record in brought(EXAMPLES[name], name):
        assert record.origin == "published"
        assert record.source
        assert record.run == "theirs"
        assert record.environment is None


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_run_reads_back_and_is_valid(tmp_path, name):
    path, target = tmp_path / "x", tmp_path / "made.jsonl"
    path.write_text(EXAMPLES[name])

    assert run_import_command(path, None, target, tmp_path) == 0

    records = read_records(target).records
    assert {record.run for record in records} == {"made"}
    assert len(records) == len(import_file(path).records)
    # Nobody else stamps CPU time and switches: these lists are empty.
    problems = [p.field for p in validate(target).problems]
    assert [f for f in problems if not f.endswith(("cpu_ns", "involuntary_switches"))] == []


@pytest.mark.parametrize(
    "secret", ["secret-host", "AWS_SECRET", "/home/someone", "/opt/secret", "f00d"]
)
def test_no_record_says_whose_machine_it_was(brought, secret):
    texts = "".join(
        record.model_dump_json()
        for content in (*EXAMPLES.values(), NCCL_JSON)
        for record in brought(content)
    )

    assert (secret in texts) == (secret == "f00d")


def test_an_unknown_format_lists_the_known_ones(brought):
    with pytest.raises(StoreError) as caught:
        brought("hello")
    assert all(name in str(caught.value) for name in FORMATS)

    with pytest.raises(
        StoreError, match=r"unknown format 'nccl'; known: .*Did you mean 'nccl-tests'"
    ):
        brought("hello", "nccl")


def test_our_own_records_are_no_import(brought, make):
    with pytest.raises(StoreError, match="which trnbench show reads as they are"):
        brought(make.record().model_dump_json())


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_file_of_another_program_is_refused_with_its_name(brought, name):
    others = [text for other, text in EXAMPLES.items() if other != name]
    for text in [*others, "", "{}", "[]", "null", '{"results": []}', "size(B) busbw(GB/s)\n"]:
        with pytest.raises(StoreError, match=r"theirs\.txt"):
            brought(text, name)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=500, deadline=None
)
@given(data=st.data())
def test_whatever_stands_in_a_file_it_is_read_or_refused(tmp_path, data):
    name = data.draw(st.sampled_from(sorted(EXAMPLES)))
    text = EXAMPLES[name]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    junk = data.draw(
        st.one_of(
            st.text(max_size=8),
            st.sampled_from(
                ["NaN", "1e999", "-1", "9" * 25, "null", "[]", "{}", '"x"', "true", "0"]
            ),
        )
    )
    path = tmp_path / "x"
    path.write_text(text[:start] + junk + text[end:], encoding="utf-8", errors="surrogatepass")
    target = tmp_path / "made.jsonl"
    target.unlink(missing_ok=True)
    refused = ""
    try:
        run_import_command(path, name, target, tmp_path)
    except StoreError as error:
        refused = str(error)

    assert refused == printable(refused)
    assert bool(refused) != (target.exists() and bool(read_records(target).records))


ODD = (None, True, -1, 0, 1.5, 10**29, 1e300, "", "x", "\x1b[2J", "../../x", [], [[]], {}, {"": {}})


def places(value, path=()):
    """The way to everything in a JSON value, itself left out."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for step, one in inner:
        yield (*path, step)
        if isinstance(one, dict | list):
            yield from places(one, (*path, step))


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("pytest-benchmark", PYTEST_BENCHMARK),
        ("torch-benchmark", TORCH),
        ("neuronperf", NEURONPERF),
        ("nccl-tests", NCCL_JSON),
    ],
)
def test_an_odd_value_anywhere_is_read_or_refused(tmp_path, name, document, odd):
    path, target = tmp_path / "x", tmp_path / "made.jsonl"
    for place in places(document):
        path.write_text(json.dumps(changed(document, odd, *place)))
        target.unlink(missing_ok=True)
        refused = ""
        try:
            run_import_command(path, name, target, tmp_path)
        except StoreError as error:
            refused = str(error)

        assert refused == printable(refused)
        assert refused or read_records(target).records, place


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize(
    ("document", "path", "field"),
    [
        (PYTEST_BENCHMARK, ("benchmarks", 0, "stats", "median"), "median"),
        (TORCH, (0, "raw_times", 1), "raw_times"),
        (NEURONPERF, (0, "latency_ms_p50"), "latency_ms_p50"),
        (NCCL_JSON, ("results", 0, "in_place", "time"), "time"),
    ],
)
def test_what_is_no_number_is_refused_with_line_and_field(brought, document, path, field, token):
    text = json.dumps(changed(document, "@", *path), indent=1)
    line = text[: text.index('"@"')].count("\n") + 1

    with pytest.raises(
        StoreError, match=rf"line {line}: field '{field}' is .*wanted a finite number"
    ):
        brought(text.replace('"@"', token))


def test_deep_brackets_are_refused(brought):
    with pytest.raises(StoreError, match="too deep"):
        brought('{"benchmarks": ' + "[" * 100_000, "pytest-benchmark")


def test_a_long_file_is_refused(brought, monkeypatch):
    monkeypatch.setattr(given_module, "LONGEST_BYTES", 100)

    with pytest.raises(StoreError, match="longer than 100 bytes"):
        brought(PYTEST_BENCHMARK)


class Runs:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_pickle_is_never_loaded(tmp_path):
    path, mark = tmp_path / "measurements.pkl", tmp_path / "mark"
    path.write_bytes(pickle.dumps(Runs(mark)))

    for form in (None, *FORMATS):
        with pytest.raises(StoreError, match="never loaded"):
            import_file(path, form)

    assert not mark.exists()


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    for name in ("pipe", ".", "missing"):
        with pytest.raises(StoreError):
            import_file(tmp_path / name)


def test_a_case_that_is_there_twice_is_numbered(brought, tmp_path):
    records = brought([*TORCH, *TORCH, *TORCH])

    assert [record.case.params.get("repeat") for record in records] == [None, 2, 3]
    assert [record.case.configuration for record in records][1:] == ["1000 main #2", "1000 main #3"]


def test_control_characters_stay_out_of_names(brought):
    evil = "\x1b[2J\u202e\x07"
    document = changed(PYTEST_BENCHMARK, f"t.py::test{evil}[{evil}]", "benchmarks", 0, "fullname")
    document["benchmarks"][0] |= {"param": evil, "group": evil, "params": {evil: evil}}

    (record,) = brought(document)

    text = json.dumps(record.model_dump(mode="json"), ensure_ascii=False)
    assert not any(sign in text for sign in "\x1b\u202e\x07")
    assert "\\u001b" not in record.notes


# pytest-benchmark


def test_rounds_become_samples_of_the_isolated_regime(brought):
    (record,) = brought(PYTEST_BENCHMARK)

    assert record.case.workload == "tests/test_sum.py::test_sum"
    assert (record.case.configuration, record.case.params) == ("10", {"n": 10})
    assert record.time == "2026-11-22T02:17:33+00:00"
    (process,) = record.processes
    assert process.isolated.calls == 4
    assert process.isolated.wall_ns == [4_000_000, 8_000_000, 12_000_000]
    assert record.summary.isolated.value == pytest.approx(2e-3)
    assert record.summary.isolated.low is None
    assert record.summary.sustained is None
    assert record.summary.min_s == pytest.approx(1e-3)


def test_a_file_without_rounds_keeps_the_median(brought):
    document = changed(PYTEST_BENCHMARK, None, "benchmarks", 0, "stats", "data")

    (record,) = brought(document)

    assert record.processes == []
    assert (record.summary.isolated.value, record.summary.min_s) == (2e-3, 1e-3)

    (record,) = brought(changed(document, 0.0, "benchmarks", 0, "stats", "min"))
    assert (record.summary.isolated.value, record.summary.min_s) == (2e-3, None)


def test_rounds_below_the_timer_s_resolution_are_no_samples(brought):
    document = changed(PYTEST_BENCHMARK, [0.0, 2e-3, 3e-3], "benchmarks", 0, "stats", "data")
    (record,) = brought(document)
    assert (record.status, record.processes) == (Status.OK, [])

    document["benchmarks"][0]["stats"]["median"] = 0
    (record,) = brought(document)
    assert record.status is Status.SKIPPED
    assert record.summary is None


def test_a_path_outside_the_project_is_left_out(brought):
    for path in ("/home/me/test_x.py", "../me/test_x.py", "C:\\me\\test_x.py"):
        document = changed(PYTEST_BENCHMARK, f"{path}::test_a", "benchmarks", 0, "fullname")

        (record,) = brought(document)

        assert record.case.workload == "test_x.py::test_a"


def test_an_entry_of_ours_gets_its_case_back(brought, make, tmp_path):
    from trnbench.results.exports.formats import find_format

    own = make.record(make.case(params={"m": 1, "causal": True}, devices=2))
    path = tmp_path / "own.jsonl"
    path.write_text(own.model_dump_json() + "\n")
    text = find_format("pytest-benchmark").export([path]).text

    (record,) = brought(text)

    assert record.case == own.case
    # Measured, says the file; but it is only a file.
    assert record.origin == "published"
    assert record.summary.isolated.value == pytest.approx(own.summary.isolated.value, rel=0.02)


def test_simulated_stays_simulated(brought, make, tmp_path):
    from trnbench.results.exports.formats import find_format

    path = tmp_path / "own.jsonl"
    path.write_text(make.record(origin="simulated").model_dump_json() + "\n")

    (record,) = brought(find_format("pytest-benchmark").export([path]).text)

    assert record.origin == "simulated"


@pytest.mark.parametrize(
    ("value", "path", "said"),
    [
        (-1.0, ("stats", "min"), "field 'stats.min' is -1.0; wanted a finite number"),
        ("x", ("stats", "mean"), "field 'stats.mean' is 'x'; wanted a number"),
        (None, ("stats",), "field 'stats' is missing; wanted an object"),
        (0, ("stats", "iterations"), "field 'stats.iterations' is 0"),
        (1.5, ("stats", "iterations"), "wanted a whole number"),
        ([1e30], ("stats", "data"), "field 'stats.data' is 1e"),
        ({"harness": "trnbench"}, ("extra_info",), "no case of trnbench"),
        ({"x": "y" * 200_000}, ("extra_info",), "characters beside its samples"),
    ],
)
def test_a_wrong_field_of_an_entry_is_named(brought, value, path, said):
    with pytest.raises(StoreError, match=r"entry 1 'test_sum\[10\]'") as caught:
        brought(changed(PYTEST_BENCHMARK, value, "benchmarks", 0, *path))

    assert said in str(caught.value)


@pytest.mark.parametrize("percentile", ["p0", "p50", "p95"])
def test_percentiles_that_fall_are_refused(tmp_path, percentile):
    report = NEURONPERF[0] | {f"latency_ms_{percentile}": 1e15}
    (path := tmp_path / "report.json").write_text(json.dumps([report]))

    with pytest.raises(StoreError, match=f"is below latency_ms_{percentile}; wanted percentiles"):
        run_import_command(path, "neuronperf", tmp_path / "made.jsonl", tmp_path)


@pytest.mark.parametrize("latency_ms", [0.0, 5e-324])
def test_a_latency_too_short_to_be_printed_is_unknown(tmp_path, latency_ms):
    path, target = tmp_path / "x.json", tmp_path / "made.jsonl"
    report = NEURONPERF[0] | {"latency_ms_p0": latency_ms, "latency_ms_p99": latency_ms}
    path.write_text(json.dumps([report]))

    run_import_command(path, "neuronperf", target, tmp_path)

    (record,) = read_records(target).records
    assert (record.summary.min_s, record.summary.p95_s, record.summary.p99_s) == (None, 0.012, None)
    assert validate(target).valid


@pytest.mark.parametrize("time", ["soon", "0001-01-01T00:00:00+14:00", "2026-02-30"])
def test_a_time_that_is_none_is_refused(brought, time):
    with pytest.raises(StoreError) as caught:
        brought(changed(PYTEST_BENCHMARK, time, "datetime"))
    assert f"field 'datetime': '{time}' is no time" in str(caught.value)


# torch.utils.benchmark


def test_runs_become_samples_of_the_sustained_regime(brought):
    (record,) = brought(TORCH)

    assert (record.case.workload, record.case.configuration) == ("add", "1000 main")
    assert record.case.params["num_threads"] == 2
    assert record.processes[0].sustained.calls == 100
    assert record.processes[0].sustained.wall_ns == [1_000_000, 2_000_000, 3_000_000]
    assert record.summary.sustained.value == pytest.approx(2e-5)
    assert record.summary.isolated is None


def test_a_measurement_alone_is_one_too(brought):
    assert len(brought(TORCH[0])) == 1


def test_what_torch_writes_has_these_fields(brought):
    from dataclasses import asdict

    benchmark = pytest.importorskip("torch.utils.benchmark")
    spec = benchmark.utils.common.TaskSpec("x + x", "pass", label="add", num_threads=2)
    measured = benchmark.Measurement(number_per_run=7, raw_times=[7e-6], task_spec=spec)

    (record,) = brought([asdict(measured)])

    assert record.summary.sustained.value == pytest.approx(1e-6)


# NeuronPerf


def test_a_report_is_one_batch_through_one_worker(brought):
    (record,) = brought(NEURONPERF)

    assert record.case.workload == "bert"
    assert record.case.configuration == "batch8-2models-2workers-1stages"
    assert record.case.params["batch_size"] == 8
    assert record.summary.isolated.value == pytest.approx(10e-3)
    assert record.summary.p99_s == pytest.approx(13e-3)
    assert (record.summary.throughput, record.summary.throughput_unit) == (800.5, "inferences/s")
    assert record.device.facts == {"instance_type": "inf2.xlarge"}


def test_its_csv_says_the_same(brought):
    names = [name for name in NEURONPERF[0] if name != "NeuronPerf_version"]
    values = [str(NEURONPERF[0][name]) for name in names]
    text = f"{','.join([*names, 'cost_per_1m_inf'])}\r\n{','.join([*values, 'N/A'])}\r\n"

    (from_csv,), (from_json,) = brought(text), brought(NEURONPERF)

    assert from_csv.case == from_json.case
    assert from_csv.summary == from_json.summary

    with pytest.raises(StoreError, match="line 2: more or fewer columns"):
        brought(text.replace(",N/A", ""))


def test_a_report_of_a_failed_run_is_kept(brought):
    report = {k: v for k, v in NEURONPERF[0].items() if not k.startswith("latency")}

    (record,) = brought([report | {"status": "error"}], "neuronperf")

    assert record.status is Status.SKIPPED
    assert "status is error" in record.failure.message


# nccl-tests


def test_a_row_is_two_records_in_10_9_bytes_per_second(brought):
    records = brought(NCCL)

    assert [record.case.params["placement"] for record in records] == [
        "out-of-place",
        "in-place",
    ] * 2
    large = records[2]
    assert (large.case.workload, large.case.dtype, large.case.devices) == ("all_reduce", "fp32", 4)
    assert large.case.params["size_bytes"] == 2**30
    assert large.summary.sustained.value == pytest.approx(10e-3)
    # 2 (n - 1) / n of size over time.
    assert large.summary.throughput == pytest.approx(1.5 * 2**30 / 10e-3)
    assert large.device.name == "NVIDIA H100 80GB HBM3"


def test_a_bandwidth_that_was_rounded_away_is_computed(brought):
    small = brought(NCCL)[0]

    assert small.summary.throughput == pytest.approx(1.5 * 1024 / 20e-6)


def test_a_wrong_result_is_no_result(brought):
    assert [record.status for record in brought(NCCL)] == [Status.OK] * 3 + [
        Status.NUMERIC_MISMATCH
    ]


def test_lines_of_launchers_are_read_through(brought):
    for tag in ("[1,0]<stdout>:", "0: "):
        tagged = "".join(f"{tag}{line}\n" for line in NCCL.splitlines())

        assert [r.case for r in brought(tagged)] == [r.case for r in brought(NCCL)]


def test_without_operation_and_ranks_the_printed_factor_is_taken(brought):
    text = "\n".join(
        line for line in NCCL.splitlines() if "Rank" not in line and "mpirun" not in line
    )

    large = brought(text)[2]

    assert large.case.workload == "collective"
    assert large.summary.throughput == pytest.approx(1.5 * 2**30 / 10e-3, rel=1e-3)
    assert "operation or ranks unstated" in large.notes


def test_the_headings_of_2019_are_read(brought):
    text = (
        "# size count type redop time algbw busbw error time algbw busbw error\n"
        "# (B) (elements) (us) (GB/s) (GB/s) (us) (GB/s) (GB/s)\n"
        "1000000 250000 float sum 100.0 10.00 15.00 2e-07 125.0 8.00 12.00 2e-07\n"
    )

    first, second = brought(text)
    assert first.status is second.status is Status.OK
    assert first.summary.throughput == pytest.approx(15e9, rel=1e-6)

    wrong = brought(text + "# Out of bounds values : 3 FAILED\n")
    assert {record.status for record in wrong} == {Status.NUMERIC_MISMATCH}


def test_the_columns_of_each_iteration_and_timestamps_are_read(brought):
    text = (
        "# size count type redop root time algbw busbw #wrong i_min i_max i_p99 i_cv%"
        " time algbw busbw #wrong i_min i_max i_p99 i_cv% timestamp\n"
        "1000000 250000 float sum -1 100.0 10.00 15.00 0 90 110 109 3"
        " 125.0 8.00 12.00 N/A 120 130 129 3 2026-11-26 12:00:00\n"
    )

    assert [r.summary.sustained.value for r in brought(text)] == pytest.approx([100e-6, 125e-6])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("20.00   0.05", "x   0.05", "line 13: time is 'x'; wanted a number"),
        ("20.00   0.05", "0   0.05", "line 13: time is 0; wanted a time above 0"),
        ("20.00   0.05", "0.05", "line 13: 12 columns given"),
        ("10000  107.37", "10.000  107.37", "wanted microseconds"),
        ("root    time", "root    cputime", "run without -C 1"),
        ("#wrong   time", "#wrong   t", "for both placements"),
        ("107.37", "nan", "line 14: algbw is 'nan'; wanted a finite number"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(brought, old, new, said):
    with pytest.raises(StoreError) as caught:
        brought(NCCL.replace(old, new), "nccl-tests")

    assert said in str(caught.value)


def test_two_tables_are_refused(brought):
    with pytest.raises(StoreError, match="a second table"):
        brought(NCCL + NCCL)


def test_the_json_says_the_same(brought):
    first, second = brought(NCCL_JSON)

    assert (first.case.workload, first.case.dtype) == ("all_gather", "bf16")
    assert "reduction" not in first.case.params
    assert first.summary.sustained.value == pytest.approx(100e-6)
    assert first.summary.throughput == pytest.approx(0.5 * 1e6 / 100e-6)
    assert second.case.params["placement"] == "in-place"


# nccom-test


def test_nccom_test_is_read_by_its_own_reader(brought):
    first, _ = brought(NCCOM)

    assert (first.case.workload, first.case.devices, first.case.dtype) == ("all_reduce", 2, "uint8")
    assert first.summary.sustained.value == pytest.approx(23.5e-6)
    assert first.summary.throughput == pytest.approx(2**20 / 23.5e-6)


# A table of published measurements


def test_a_published_table_is_held_against_the_catalog(tmp_path):
    path, target = tmp_path / "x.csv", tmp_path / "made.jsonl"
    path.write_text(published_table())

    run_import_command(path, None, target, tmp_path)

    (record,) = read_records(target).records
    assert (record.case.workload, record.device.chip) == ("matmul", "h100_sxm")
    (roof,) = record.roofs
    # 2 * 1024^3 operations in a millisecond, of 989.4e12 a second.
    assert (roof.ceiling, roof.fraction) == ("datasheet", pytest.approx(2.17e-3, rel=0.01))


def test_a_row_of_several_chips_has_no_roof_of_one(tmp_path):
    path, target = tmp_path / "x.csv", tmp_path / "made.jsonl"
    path.write_text(published_table(n_devices="12"))

    run_import_command(path, None, target, tmp_path)

    (record,) = read_records(target).records
    assert record.case.devices == 12
    assert [(roof.fraction, roof.floor_s) for roof in record.roofs] == [(None, None)]
    assert "12 devices" in record.roofs[0].reason


def test_a_row_that_was_cut_is_refused(brought):
    with pytest.raises(StoreError, match="line 2: more or fewer columns"):
        brought(published_table().rstrip("\n").rpartition(",")[0])


# The command


def test_an_import_lies_beside_the_runs_under_its_file_s_name(tmp_path, capsys):
    path = tmp_path / "of yesterday.json"
    path.write_text(EXAMPLES["pytest-benchmark"])

    run_import_command(path, None, None, tmp_path / "runs")

    assert (tmp_path / "runs" / "of-yesterday.jsonl").is_file()
    assert (tmp_path / "runs" / ".gitignore").is_file()
    assert "1 case of pytest-benchmark in" in capsys.readouterr().err


def test_an_import_never_writes_over_a_run(tmp_path):
    path, target = tmp_path / "x", tmp_path / "run.jsonl"
    path.write_text(EXAMPLES["nccl-tests"])
    target.write_text("precious")

    with pytest.raises(StoreError, match="exists already"):
        run_import_command(path, None, target, tmp_path)
    with pytest.raises(UsageError, match=r"ends in \.jsonl"):
        run_import_command(path, None, tmp_path / "x.csv", tmp_path)

    assert target.read_text() == "precious"


def test_a_hostile_file_name_is_no_path_of_a_run(tmp_path):
    path = tmp_path / "..\\--x;$(id) .json"
    path.write_text(EXAMPLES["torch-benchmark"])

    run_import_command(path, None, None, tmp_path / "runs")

    (made,) = (tmp_path / "runs").glob("*.jsonl")
    assert made.name == "--x-id.jsonl" or not made.name.startswith("-")
