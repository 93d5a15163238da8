"""Rooflines as a person meets them: stored records of every age, narrow and plain terminals, and
what may be called impossible."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from trnbench.bench.cli import app
from trnbench.bench.roofs import catalog_roofs
from trnbench.results.page.roofline_plot import _LABELS
from trnbench.results.record import Record
from trnbench.results.roof_words import read_rate, with_rates
from trnbench.results.roofline_chart import draw_chart
from trnbench.results.roofline_frame import fit
from trnbench.results.roofline_table import print_rooflines
from trnbench.results.rooflines import (
    Ceiling,
    above_limits,
    excess,
    find_ceilings,
    find_rooflines,
    locate,
)
from trnbench.specs.catalog import load_catalog
from trnbench.specs.roof_table import roof_table

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "examples" / "roofline.jsonl"
MIB = 2**20


@pytest.fixture
def held(make):
    """A record of a case on a chip of the catalog, held against it as a run holds it."""

    def build(chip, share, seconds, *, dtype="bf16", mode="eager", **cost):
        work = make.cost(flops_counted=None, uncounted_reason="made up", **cost)
        device = make.device(name=f"one of {chip}", chip=chip, share=share)
        found = catalog_roofs(work, device, dtype, seconds, load_catalog(), fused=mode != "eager")
        case = make.case(configuration=mode, params={"mode": mode}, dtype=dtype, mode=mode)
        record = make.record(
            case, medians=(seconds,) * 3, cost=work, device=device, roofs=found.roofs
        )
        return record, found

    return build


@pytest.fixture
def norm(held):
    """A normalisation on one device of Trainium2 (725 GB/s of HBM, 56 MiB of SBUF)."""

    def build(seconds, working_set, **changes):
        return held(
            *("trainium2", 0.25, seconds),
            **{"mode": "eager", "flops": 0, "vector_flops": 10**6, "bytes_useful": working_set}
            | {"bytes_moved": 6 * working_set, "working_set_bytes": working_set}
            | changes,
        )

    return build


def stored(folder, records):
    run = folder / "run.jsonl"
    run.write_text("".join(f"{record.model_dump_json()}\n" for record in records), "utf-8")
    return str(run)


def told(*arguments, columns=110):
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(columns)})
    return " ".join(done.output.split())


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "trnbench", *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ, "TERM": "dumb", **environment},
    )


# ------------------------------------------------------------------ records of every age


def example_records():
    return [Record.model_validate_json(line) for line in EXAMPLE.read_text("utf-8").splitlines()]


def aged(record):
    """As it was stored before roofs had numbers: words alone, of a level only where it binds."""
    new = ("flops_per_s", "bound_per_s", "gate_s", "level", "level_bytes_per_s", "level_bytes")
    roofs = [
        roof.model_copy(update={**dict.fromkeys(new), "level_denominator": ""})
        for roof in record.roofs
    ]
    return record.model_copy(update={"roofs": roofs})


def test_words_give_the_roofs_that_numbers_give():
    records = example_records()
    # To the four digits that words have.
    numbers = {(c.kind, c.name, c.ceiling): f"{c.rate:.3g}" for c in find_ceilings(records)}
    words = {
        (c.kind, c.name, c.ceiling): f"{c.rate:.3g}" for c in find_ceilings(map(aged, records))
    }

    assert len(numbers) == 4
    assert words == numbers


def test_words_are_left_alone_where_there_are_numbers():
    for roof in example_records()[0].roofs:
        known = roof.model_copy(update={"flops_per_s": 1.0, "bound_per_s": 2.0, "level": "L9"})

        assert with_rates(known) is known


@pytest.mark.parametrize(
    ("words", "unit", "rate"),
    [
        ("2 cores x 64 FLOP/cycle x 3.28 GHz measured = 419.8 GFLOP/s", "FLOP/s", 419.8e9),
        ("989 TFLOP/s dense bf16", "FLOP/s", 989e12),
        ("190 TFLOP/s dense bf16 x 0.5 of the chip = 95 TFLOP/s", "FLOP/s", 95e12),
        ("1979 TOP/s (unconfirmed) dense int8", "FLOP/s", 1979e12),
        ("393.8 GFLOP/s reached by fp32 matmul 1536x1536x1536", "FLOP/s", 393.8e9),
        ("50.39 GB/s reached by triad of 64.03 MiB (DRAM)", "B/s", 50.39e9),
        ("820 GiB/s HBM", "B/s", 820 * 2**30),
        ("0.88 TB/s HBM x 0.5 of the chip = 440 GB/s", "B/s", 440e9),
        ("3.35 TB/s HBM", "FLOP/s", None),
        ("2.1e+03 us to dispatch a call", "B/s", None),
        ("0 GFLOP/s", "FLOP/s", None),
        ("1 kiB/s", "B/s", None),
        ("", "FLOP/s", None),
    ],
)
def test_the_rate_is_the_one_that_a_sum_comes_to(words, unit, rate):
    found = read_rate(words, unit)

    assert found == (rate if rate is None else pytest.approx(rate))


# ------------------------------------------------------------------ what is impossible


def test_less_than_a_floor_is_possible_where_operators_hand_on_in_sbuf(norm, tmp_path):
    # 120 MiB in 100 us are 1.26 TB/s, and HBM has 0.725.
    record, found = norm(1e-4, 20 * MIB)
    run = stored(tmp_path, [record])

    assert record.roofs[0].fraction > 1.05
    assert found.above is None
    assert record.roofs[0].gate_s == 0
    assert excess(record, record.roofs[0]) == 0
    text = told("roofline", run)
    assert "above its roof" not in text
    assert "SBUF: the working set fits its 56 MiB" in text
    assert "a time below this floor is possible" in text
    assert CliRunner().invoke(app, ["validate", run]).exit_code == 0


def test_more_than_sbuf_holds_has_to_move_and_a_faster_time_is_told(norm, tmp_path):
    record, found = norm(1e-4, 400 * MIB)
    run = stored(tmp_path, [record])

    gate = (400 - 56) * MIB / 725e9
    assert record.roofs[0].gate_s == pytest.approx(gate)
    assert "4.98 times the " in found.above
    assert "fits its" not in record.roofs[0].reason
    assert "above its roof" in told("roofline", run)
    done = CliRunner().invoke(app, ["validate", run], env={"COLUMNS": "200"})
    assert done.exit_code == 1
    assert f"OK, and {gate / 1e-4:.2f} times the datasheet ceiling" in done.output


def test_a_compiled_case_that_doesnt_fit_says_what_its_floor_leaves_out(norm):
    fits, _ = norm(1e-3, 20 * MIB, mode="compiled")
    larger, _ = norm(1e-3, 400 * MIB, mode="compiled")

    assert "SBUF" not in fits.roofs[0].reason
    assert "more than its 56 MiB" in larger.roofs[0].reason
    assert "left out as if all of it fitted" in larger.roofs[0].reason


def test_what_hands_nothing_on_has_no_note(held):
    record, _ = held(
        *("trainium2", 0.25, 1e-3), flops=10**9, bytes_moved=MIB, bytes_useful=MIB,
        working_set_bytes=MIB,
    )  # fmt: skip

    assert all("SBUF" not in roof.reason for roof in record.roofs)


def test_a_gpus_cache_may_have_kept_the_call_before(held, tmp_path):
    work = {"flops": 0, "vector_flops": 1000}
    sizes = dict.fromkeys(("bytes_moved", "bytes_useful", "working_set_bytes"), 60 * MIB)
    record, found = held("h100_sxm", 1.0, 1.2e-5, **work, **sizes)

    assert record.roofs[0].fraction > 1.5
    assert found.above is None
    assert not above_limits([locate(record)])
    assert CliRunner().invoke(app, ["validate", stored(tmp_path, [record])]).exit_code == 0


@pytest.mark.parametrize(("bound", "accused"), [("tensor", True), ("vector", True), ("HBM", False)])
def test_without_a_gate_only_an_engine_proves_a_time_impossible(make, bound, accused):
    record = make.record(roofs=[make.roof("datasheet", 2e-3, 2.0, bound)])
    estimated = record.model_copy(update={"cost": make.cost(estimated=True)})

    assert bool(above_limits([locate(record)])) is accused
    assert not above_limits([locate(estimated)])


def test_a_ceiling_that_is_no_limit_has_no_gate(held):
    record, _ = held(
        *("trainium1", 0.5, 1e-3), flops=2 * 2048**3, bytes_moved=MIB, bytes_useful=MIB,
        working_set_bytes=MIB,
    )  # fmt: skip
    gates = {roof.ceiling: roof.gate_s for roof in record.roofs}

    assert gates["measured"] is None
    assert gates["engine"] == pytest.approx(2 * 2048**3 / 92e12)


# ------------------------------------------------------------------ what binds


def test_an_engine_beside_the_matrices_has_a_roof_where_it_binds(held):
    record, _ = held(
        *("trainium2", 0.25, 1e-3), dtype="fp32", flops=0, vector_flops=10**9,
        bytes_moved=MIB, bytes_useful=MIB, working_set_bytes=MIB,
    )  # fmt: skip
    (found,) = find_rooflines([record])
    roofs = {(one.name, one.ceiling): one.rate for one in found.ceilings}
    ridges = {(one.dtype, one.level): one.flops_per_byte for one in found.ridges}

    assert record.roofs[0].bound == "vector"
    assert roofs["fp32 vector", "datasheet"] == 2e12
    assert ridges["fp32 vector", "HBM"] == pytest.approx(2e12 / 725e9)
    assert record.roofs[0].bound_per_s == 2e12


def test_a_level_of_unknown_rate_is_named_with_the_reason(held, tmp_path):
    record, _ = held(
        *("h100_sxm", 1.0, 8e-6), dtype="fp32", flops=0, vector_flops=10**6,
        bytes_moved=30 * MIB, bytes_useful=30 * MIB, working_set_bytes=30 * MIB,
    )  # fmt: skip
    run = stored(tmp_path, [record])
    (device,) = json.loads(CliRunner().invoke(app, ["roofline", run, "--json"]).stdout)
    text = told("roofline", run)

    assert "L2, of unknown rate" in text
    assert "L2 unknown: the catalog has no bandwidth for the 50 MiB L2 of h100_sxm" in text
    case = device["cases"][0]
    assert (case["level"], case["bound"], case["fraction"]) == ("L2", None, None)


def test_json_has_the_level_of_each_case():
    (device,) = json.loads(CliRunner().invoke(app, ["roofline", str(EXAMPLE), "--json"]).stdout)
    levels = {case["configuration"]: case["level"] for case in device["cases"]}

    assert levels["skinny-m1"] == "DRAM"
    assert levels["512x1024"] == "L3"
    assert all(roof["bound_per_s"] for case in device["cases"] for roof in case["held"]
               if roof["bound"])  # fmt: skip


# ------------------------------------------------------------------ the chart


def test_the_chart_names_slanted_roofs_beside_their_lines():
    (found,) = find_rooflines(example_records())
    lines = draw_chart(found.points, found.ceilings, 110)
    (row,) = [line for line in lines if "DRAM 36.3 GB/s, attained" in line]

    assert "L3 138 GB/s" in row
    # Beside the name stands the line that it belongs to, and nothing between them.
    assert row.index("DRAM") - max(i for i, x in enumerate(row[: row.index("DRAM")]) if x > " ") < 5


@pytest.mark.parametrize("width", [40, 60, 80, 110, 160])
def test_no_name_hides_a_mark(held, width):
    sizes = (128, 256, 512, 1024, 2048, 4096, 8192)
    records = [
        held("trainium2", 0.25, 2 * n**3 / (150e12 * n / 8192), flops=2 * n**3,
             bytes_moved=6 * n * n, bytes_useful=6 * n * n, working_set_bytes=6 * n * n)[0]
        for n in sizes
    ]  # fmt: skip
    (found,) = find_rooflines(records)
    named = draw_chart(found.points, found.ceilings, width)
    bare = draw_chart(found.points, [Ceiling(c.kind, " ", c.ceiling, c.rate, "")
                                     for c in found.ceilings], width)  # fmt: skip

    places = [
        {(r, c) for r, line in enumerate(chart[1:-3]) for c, x in enumerate(line) if x == "o"}
        for chart in (named, bare)
    ]
    assert len(places[1]) >= 5
    assert places[1] <= places[0]


def test_no_mark_of_a_picture_lies_under_the_names_of_its_roofs():
    roofs = [Ceiling("arithmetic", "bf16", "datasheet", 1e12, "")]
    for points in ([(1.0, 1e9)], [(0.1, 1e9), (1e4, 9e11)], [(50.0, 1e11), (51.0, 1e11)]):
        frame = fit(points, roofs, _LABELS)
        place = (fit_log(points) - frame.left) / (frame.right - frame.left)

        assert place <= 1 - _LABELS + 1e-9


def fit_log(points):
    from math import log10

    return log10(max(x for x, _ in points))


def test_a_picture_says_whose_it_is(tmp_path):
    target = tmp_path / "chart.svg"
    CliRunner().invoke(app, ["roofline", str(EXAMPLE), "-o", str(target)])

    assert ">Roofline of AMD EPYC</text>" in target.read_text("utf-8")


def test_figures_that_no_machine_has_break_nothing(make):
    """As a stranger's file may have them."""
    odd = [None, -1.0, 0.0, 1e-300, 1e12, 1.7e308]
    drawn = 0
    for rate, carried, seconds, flops in itertools.product(
        odd, odd, (1e-300, 1e-3, 1e300), (1, 10**12, 10**300)
    ):
        roof = make.roof("datasheet", bound="vector", reason="a; \x1b[2J; ").model_copy(
            update={"flops_per_s": rate, "bound_per_s": rate, "gate_s": carried}
            | {"level": "L2\x1b[2J", "level_bytes_per_s": carried, "level_bytes": 7}
        )
        record = make.record(cost=make.cost(flops=flops), roofs=[roof])
        time = record.summary.sustained.model_copy(update={"value": seconds})
        summary = record.summary.model_copy(update={"sustained": time})
        out = io.StringIO()
        found = find_rooflines([record.model_copy(update={"summary": summary})])
        print_rooflines(found, Console(file=out, width=80))
        drawn += "FLOP/B" in out.getvalue()
        assert "\x1b[2J" not in out.getvalue()
    assert drawn > 20


# ------------------------------------------------------------------ through the real command


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize(
    "arguments",
    [["roofline", EXAMPLE], ["show", EXAMPLE], ["specs", "roofline", "trainium1"]],
    ids=lambda arguments: " ".join(map(str, arguments[:2])),
)
def test_a_terminal_of_80_letters_without_colour_in_any_encoding(arguments, encoding):
    done = command(*arguments, COLUMNS="80", NO_COLOR="1", PYTHONIOENCODING=encoding)

    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert "\x1b" not in text
    # A path is printed whole, so that it can be pasted.
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("records: "))
    assert encoding != "ascii" or " us" in text or "specs" in arguments


def test_what_cant_be_encoded_is_spelled(make, tmp_path):
    record = make.record(label="café ☃", device=make.device(name="☃ chip"))
    done = command("show", stored(tmp_path, [record]), PYTHONIOENCODING="latin-1")

    assert done.returncode == 0, done.stderr
    assert "café \\u2603" in done.stdout.decode("latin-1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trainium9"], "unknown chip 'trainium9'; known: a100_sxm_40gb"),
        (["trainium1", "--dtype", "bf61"], "no dense peak in 'bf61'; known: fp32, tf32, bf16"),
        (["trainium2", "--mode", "LNC=3"], "unknown mode 'LNC=3'; known: LNC=2, LNC=1"),
        (["x", "--chip-file", "none.toml"], "none.toml: no such file"),
    ],
)
def test_a_mistake_is_one_line(arguments, said):
    done = command("specs", "roofline", *arguments)

    assert done.returncode == 4
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("trnbench: ")
    assert said in line


def test_a_chip_of_ones_own_has_roofs():
    own = DOCS / "examples" / "my_chip.toml"
    done = command("specs", "roofline", "acme_one", "--chip-file", own, "--dtype", "bf16", "--json")
    table = json.loads(done.stdout)

    rates = {(one["name"], one["ceiling"]): one["rate"] for one in table["roofs"] if one["rate"]}
    assert rates == {("tensor", "datasheet"): 800e12, ("HBM", "datasheet"): 4e12}
    assert {one["source"].split(",")[0] for one in table["roofs"] if one["rate"]} == {
        "acme_datasheet"
    }


# ------------------------------------------------------------------ a chip's roofs


def test_each_rate_has_its_source_and_each_engine_its_reason():
    catalog = load_catalog()
    for chip in catalog.chips.values():
        if not chip.devices:
            continue
        table = roof_table(chip)
        for line in table.roofs:
            if line.rate is None:
                assert line.reason, (chip.id, line)
            else:
                assert line.source.partition(",")[0] in catalog.sources, (chip.id, line)
        engines = {(one.name, one.dtype) for one in table.roofs if one.kind == "arithmetic"}
        assert engines == set(itertools.product(("tensor", "vector", "scalar"), chip.peak_dense)), (
            chip.id
        )


def test_an_engine_without_a_rate_is_a_comment_and_no_row():
    text = (
        CliRunner()
        .invoke(
            app, ["specs", "roofline", "trainium2", "--dtype", "bf16,fp8"], env={"COLUMNS": "110"}
        )
        .output
    )

    assert "vector bf16, fp8: the vector engine's rate is published for fp32 only" in text
    assert "\nvector bf16  " not in text
    assert "neuron_trainium2, 2025-12-01" in text


def test_integers_are_operations_and_not_floating_point():
    table = roof_table(load_catalog().chip("trainium1"), ["int8"])
    tensor = next(one for one in table.roofs if one.name == "tensor")

    assert tensor.unit == "OP/s"
    assert tensor.words == "380 TOP/s dense int8 x 0.5 of the chip = 190 TOP/s"
