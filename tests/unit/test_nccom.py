"""What nccom-test prints, read in bytes per second, and everything else refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trnbench.bench.collectives import run_collectives_command
from trnbench.bench.errors import UsageError
from trnbench.results.nccom import bus_factor, read_collectives

SAMPLES = Path(__file__).parents[2] / ".." / "shared" / "neuron_samples"
needs_samples = pytest.mark.skipif(not SAMPLES.exists(), reason="no shared samples beside the tree")

GIB = 2.0**30
HEADING = "size(B) count(elems) type time:avg(us) algbw(GB/s) busbw(GB/s)"


def table(*rows, heading=HEADING, average=None):
    """Made-up output: a row is (bytes, µs, algbw, busbw)."""
    lines = [heading]
    lines += [f"{size} {size} uint8 {us} {alg} {bus}" for size, us, alg, bus in rows]
    lines += [] if average is None else [f"\nAvg bus bandwidth:\t{average}GB/s"]
    return "\n".join(lines) + "\n"


def decimal(size, us, factor=1.0):
    """A row as newer releases print it: 10^9 bytes per second."""
    bandwidth = size / us / 1e3
    return size, us, f"{bandwidth:.2f}", f"{bandwidth * factor:.2f}"


def binary(size, us, factor=1.0):
    """A row as older releases print it: 2^30 bytes per second."""
    bandwidth = size / us * 1e6 / GIB
    return size, us, f"{bandwidth:.2f}", f"{bandwidth * factor:.2f}"


DECIMAL = [decimal(2**20 * 4**i, 30.25 * 3**i) for i in range(4)]
BINARY = [binary(2**20 * 4**i, 30 * 3**i) for i in range(4)]


def test_newer_output_means_decimal_gigabytes():
    found = read_collectives(table(*DECIMAL))

    assert found.printed_unit == "GB/s"
    assert [row.size_bytes for row in found.rows] == [2**20, 2**22, 2**24, 2**26]
    assert found.rows[0].time_s == pytest.approx(30.25e-6)
    assert found.rows[0].bytes_per_s == pytest.approx(2**20 / 30.25e-6)
    assert found.rows[0].bus_bytes_per_s == pytest.approx(2**20 / 30.25e-6, rel=1e-3)


def test_older_output_means_gibibytes_under_the_same_heading():
    found = read_collectives(table(*BINARY, heading=HEADING.replace(":avg", "")))

    assert found.printed_unit == "GiB/s"
    assert found.rows[0].bytes_per_s == pytest.approx(2**20 / 30e-6)
    assert found.rows[3].bus_bytes_per_s == pytest.approx(2**26 / 810e-6, rel=1e-3)
    assert found.rows[0].times_s == {"avg": pytest.approx(30e-6)}


def test_sizes_too_small_to_tell_the_unit_say_so():
    found = read_collectives(table((8, 520, "0.00", "0.00"), (16, 520, "0.00", "0.00")))

    assert found.printed_unit is None
    assert "too small" in found.notes[0]
    assert found.rows[0].bytes_per_s == pytest.approx(8 / 520e-6)
    assert found.rows[0].bus_bytes_per_s is None
    assert found.average_bus_bytes_per_s is None
    known = read_collectives(table((8, 520, "0.00", "0.00")), "allr", 64)
    assert known.rows[0].bus_bytes_per_s == pytest.approx(8 / 520e-6 * 126 / 64)


@pytest.mark.parametrize(
    ("operation", "ranks", "factor"),
    [
        ("all_reduce", 2, 1.0),
        ("all_reduce", 32, 62 / 32),
        ("all_gather", 32, 31 / 32),
        ("reduce_scatter", 4, 0.75),
        ("all_to_all", 2, 0.5),
        ("all_to_allv", 8, 0.875),
        ("sendrecv", 2, 1.0),
        ("permute", None, 1.0),
        ("all_gatherv", 8, None),
        ("all_reduce", None, None),
        (None, 8, None),
    ],
)
def test_the_bus_factor_of_each_operation(operation, ranks, factor):
    assert bus_factor(operation, ranks) == (None if factor is None else pytest.approx(factor))


@pytest.mark.parametrize("word", ["allr", "all_reduce"])
def test_operation_and_ranks_are_taken_from_the_command_line(word):
    rows = [decimal(2**20 * 4**i, 31.5 * 3**i, 62 / 32) for i in range(3)]
    command = f"$ nccom-test -r 32 -b 1mb -e 16mb -f 4 {word}\n"
    found = read_collectives(command + table(*rows))

    assert (found.operation, found.ranks) == ("all_reduce", 32)
    assert found.bus_factor == pytest.approx(62 / 32, rel=1e-3)
    assert found.expected_bus_factor == pytest.approx(62 / 32)
    assert found.rows[0].bus_bytes_per_s == pytest.approx(2**20 / 31.5e-6 * 62 / 32)


@pytest.mark.parametrize("ranks", ["0", "-2", "²", "٣", "1" * 5000])
def test_a_number_of_ranks_that_is_none_is_unknown(ranks):
    found = read_collectives(f"$ nccom-test -r {ranks} allr\n" + table(*DECIMAL))

    assert (found.operation, found.ranks, found.bus_factor) == ("all_reduce", None, 1.0)


def test_a_bus_bandwidth_of_another_operation_is_refused():
    with pytest.raises(ValueError, match=r"busbw .* printed.*all_reduce over 32 ranks"):
        read_collectives(table(*DECIMAL), "all_reduce", 32)


def test_columns_may_stand_in_any_order_with_percentiles_and_an_algorithm():
    heading = (
        "type time:p99(us) busbw(GB/s) algorithm size(B) time:avg(us) algbw(GB/s) time:p50(us)"
    )
    size, us, alg, bus = DECIMAL[2]
    with pytest.raises(ValueError, match="run ended early"):
        read_collectives(f"{heading}\n")
    found = read_collectives(
        f"size(B) count(elems) total_input_size(B) {heading.replace('size(B) ', '')}\n"
        f"{size} {size // 4} 17 fp32 {us + 9} {bus} mesh {us} {alg} {us - 1}\n"
    )

    (row,) = found.rows
    assert (row.size_bytes, row.count, row.dtype, row.algorithm) == (
        size,
        size // 4,
        "fp32",
        "mesh",
    )
    assert row.times_s == pytest.approx(
        {"p99": us / 1e6 + 9e-6, "avg": us / 1e6, "p50": us / 1e6 - 1e-6}
    )
    assert row.time_s == pytest.approx(us / 1e6)


def test_the_average_is_held_against_the_rows():
    mean = sum(float(bus) for *_, bus in DECIMAL) / len(DECIMAL)

    found = read_collectives(table(*DECIMAL, average=f"{mean:.4f}"))
    assert found.average_bus_bytes_per_s == pytest.approx(mean * 1e9)
    binary_mean = sum(float(bus) for *_, bus in BINARY) / len(BINARY)
    found = read_collectives(table(*BINARY, average=f"{binary_mean:.4f}"))
    assert found.average_bus_bytes_per_s == pytest.approx(binary_mean * GIB)
    with pytest.raises(ValueError, match="rows are missing or were changed"):
        read_collectives(table(*DECIMAL[1:], average=f"{mean:.4f}"))


def test_json_of_the_report_file():
    rows = [
        {
            "size(B)": size,
            "count(elems)": size // 4,
            "type": "fp32",
            "algbw(GB/s)": size / us / 1e3,
            "busbw(GB/s)": size / us / 1e3 * 31 / 32,
            "time:avg(us)": us,
        }
        for size, us in ((1024, 6.19), (65536, 8.18), (524288, 23.11))
    ]
    found = read_collectives(json.dumps({"results": rows, "config": None}), "allg", 32)

    assert found.printed_unit == "GB/s"
    assert found.operation == "all_gather"
    assert found.rows[2].bytes_per_s == pytest.approx(524288 / 23.11e-6)
    assert found.rows[2].bus_bytes_per_s == pytest.approx(524288 / 23.11e-6 * 31 / 32)
    assert found.rows[2].count == 131072


FAILED = "33554432    Failure running neuron-bench - log file /tmp/nccom_test_log_x.log"
REFUSED = {
    "driver": ("Neuron DKMS Driver is not running! Read the guide", "Driver is not running"),
    "bench": (f"{HEADING}\n{FAILED}\n1 errors found - test failed", "Failure running neuron-bench"),
    "check": (table(*DECIMAL) + "2 errors found - test failed", "2 errors found"),
    "usage": ("usage: nccom-test\nnccom-test: error: argument -c: invalid", "argument -c: invalid"),
    "empty": ("", "no output of nccom-test"),
    "other": ("neuron-ls says hello", "no output of nccom-test"),
    "heading alone": (HEADING, "ended early"),
    "cut": (table(*DECIMAL)[:-12], "was the line cut"),
    "two tables": (table(*DECIMAL) * 2, "a second table"),
    "two units": (table(DECIMAL[0], BINARY[1]), "two units"),
    "wrong arithmetic": (table((2**20, 30.25, "99.00", "99.00")), "was changed"),
    "no mean": (
        table(*DECIMAL, heading=HEADING.replace("avg", "p50")).replace("30.25", "25.25"),
        "add avg",
    ),
    "zero time": (table((2**20, 0, "34.66", "34.66")), "above 0"),
    "no number": (table((2**20, "n/a", "34.66", "34.66")), "wanted a number"),
    "seconds": (table(*DECIMAL, heading=HEADING.replace("(us)", "(s)")), "microseconds"),
    "json list": ("[1, 2]", 'no filled list "results"'),
    "json null": ('{"results": null}', 'no filled list "results"'),
    "json empty": ('{"results": []}', 'no filled list "results"'),
    "json row null": ('{"results": [null]}', "result 1: no 'time"),
    "json cell null": (
        '{"results": [{"size(B)": 8, "type": "fp32", "time:avg(us)": null}]}',
        "result 1: no 'time",
    ),
    "json nan": (
        '{"results": [{"size(B)": NaN, "type": "x", "time(us)": 1, "algbw(GB/s)": 1}]}',
        "result 1: size: 'nan'",
    ),
    "json torn": ('{"results": [', "no JSON either"),
    "json nested": ("[" * 200_000, "brackets within brackets beyond what can be read"),
    "json nested row": ('{"results":' + "[" * 200_000, "give the output as nccom-test wrote it"),
    "json huge": (
        '{"results": [{"size(B)": 1' + "0" * 400 + ', "type": "x", "time(us)": 1}]}',
        "wanted a number",
    ),
    "average": (
        table(*DECIMAL, average="7.8.0"),
        "line 7: Avg bus bandwidth: '7.8.0' given; wanted a number of 0 or more: give the output",
    ),
    "average cut": (table(*DECIMAL) + "Avg bus bandwidth: ", "Avg bus bandwidth: '' given"),
    "average nan": (table(*DECIMAL, average="nan"), "Avg bus bandwidth: 'nan' given"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_result_is_refused_with_its_reason(name):
    text, words = REFUSED[name]

    with pytest.raises(ValueError) as refusal:
        read_collectives(text)
    assert words in str(refusal.value)


def test_an_unknown_operation_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'broadcast' given; known: all_reduce, allr"):
        read_collectives(table(*DECIMAL), "broadcast")


def test_another_programs_lines_are_left_out_and_counted():
    text = table(*DECIMAL).replace("\n4194304", "\nINFO[0001] still going\n4194304")

    found = read_collectives(f"INFO[0000] Running nccom-test sendrecv -r 2\n{text}")
    assert len(found.rows) == 4
    assert found.notes == ["left out, being no rows of the table: 1 lines"]


@needs_samples
def test_the_sample_table_is_read_right_and_is_decimal():
    path = SAMPLES / "nccom-test_inf2.xlarge_allreduce_uint8_2cores.txt"
    found = read_collectives(path.read_text(encoding="utf-8"), "allr", 2)

    assert found.printed_unit == "GB/s"
    assert len(found.rows) == 11
    assert found.bus_factor == pytest.approx(1.0)
    assert found.rows[0].bytes_per_s == pytest.approx(44.62e9, rel=2e-4)
    assert found.rows[10].size_bytes == 8388606
    assert found.rows[10].time_s == pytest.approx(160e-6)
    assert found.rows[10].bytes_per_s == pytest.approx(52.43e9, rel=2e-4)
    assert {row.dtype for row in found.rows} == {"uint8"}
    assert found.average_bus_bytes_per_s == pytest.approx(50.6552e9, rel=1e-4)


@needs_samples
def test_every_other_sample_is_refused():
    others = [p for p in sorted(SAMPLES.iterdir()) if "allreduce_uint8_2cores" not in p.name]
    assert len(others) >= 24
    for path in others:
        with pytest.raises(ValueError, match=r"no output of nccom-test|nccom-test failed"):
            read_collectives(path.read_text(encoding="utf-8"))
    usage = SAMPLES / "nccom-test_inf2.xlarge_usage_error_and_fp32.txt"
    with pytest.raises(ValueError, match="invalid choice: 'all_reduce'"):
        read_collectives(usage.read_text(encoding="utf-8"))


def test_the_command_prints_rows_or_json(tmp_path, capsys):
    file = tmp_path / "nccom.txt"
    file.write_text(table(*DECIMAL))

    assert run_collectives_command(file, "sendrecv", None, as_json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["printed_unit"] == "GB/s"
    assert printed["rows"][1]["bytes_per_s"] == pytest.approx(2**22 / 90.75e-6)
    assert run_collectives_command(file, None, None, as_json=False) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "its GB/s are 10^9 bytes/s" in said
    assert "46.2 GB/s" in said


def test_the_command_names_the_file_that_it_refuses(tmp_path):
    (tmp_path / "deep").write_text("[" * 200_000)
    with pytest.raises(UsageError, match="deep: no output of nccom-test"):
        run_collectives_command(tmp_path / "deep", None, None, as_json=False)
    with pytest.raises(UsageError, match="can't read"):
        run_collectives_command(tmp_path / "none", None, None, as_json=False)
    (tmp_path / "empty").touch()
    with pytest.raises(UsageError, match="empty: no output of nccom-test"):
        run_collectives_command(tmp_path / "empty", None, None, as_json=False)
