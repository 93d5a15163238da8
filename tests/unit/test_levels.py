"""Units of silicon: how many chips each is, what a figure becomes, and the command that shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product

import pytest

from trnbench.specs.catalog import load_catalog
from trnbench.specs.figure import CatalogError
from trnbench.specs.levels import (
    LEVELS,
    Market,
    amounts,
    convert,
    equivalent,
    first_amount,
    why_none,
)
from trnbench.specs.systems import load_systems
from trnbench.specs.unit_table import Given, unit_table

CHIPS = load_catalog().chips


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trnbench", "specs", "units", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("chip", "level", "expected"),
    [
        ("trainium1", "core", [("", 1 / 2)]),
        ("trainium1", "device", [("core", 1 / 2)]),
        ("trainium2", "core", [("", 1 / 8)]),
        ("trainium2", "device", [("LNC=2", 1 / 4), ("LNC=1", 1 / 8)]),
        ("trainium2", "stack", [("", 1 / 4)]),
        ("trainium2", "ultraserver", [("trn2_ultraserver", 64)]),
        (
            "trainium3",
            "ultraserver",
            [("trn3_gen2_ultraserver", 144), ("trn3_gen1_ultraserver", 64)],
        ),
        ("inferentia2", "ultraserver", []),
        ("h100_sxm", "core", []),
        ("h100_sxm", "device", [("whole", 1)]),
    ],
)
def test_the_chips_in_a_unit(chip, level, expected):
    assert [(one.name, one.chips) for one in amounts(CHIPS[chip], level)] == expected
    assert bool(why_none(level))


def test_an_hour_of_a_dollar_is_the_price_that_was_asked_for():
    chip = CHIPS["trainium1"]
    own = first_amount(chip, "dollar-hour", Market(usd_per_chip_hour=4.0))
    block = first_amount(chip, "dollar-hour", Market(purchase="capacity_block"))

    assert own.chips == 0.25
    assert not own.unconfirmed, "it is the user's own"
    assert block.chips == pytest.approx(1 / 0.9681)
    assert "capacity block" in block.detail
    assert block.unconfirmed, "a price list that was read in the press"
    assert first_amount(chip, "dollar-hour", Market(region="nowhere")) is None


def test_a_figure_goes_to_any_unit_and_back_through_any_other():
    """Whatever way round: a figure has one value for each unit."""
    checked = 0
    for chip in CHIPS.values():
        units = [one for level in LEVELS for one in amounts(chip, level)]
        for a, b, c in product(units, repeat=3):
            there = convert(convert(7e12, a.chips, b.chips), b.chips, c.chips)
            assert there == pytest.approx(convert(7e12, a.chips, c.chips), rel=1e-12)
            assert convert(there, c.chips, a.chips) == pytest.approx(7e12, rel=1e-12)
            checked += 1
    assert checked > 2000


def test_units_of_time_go_the_other_way_than_figures():
    assert equivalent(6.0, 1 / 4, 1) == 1.5
    assert convert(6.0, 1 / 4, 1) == 24.0


def test_every_system_is_an_amount_of_its_chip():
    for system in load_systems():
        own = {one.name: one.chips for one in amounts(CHIPS[system.chip], system.level)}
        assert own[system.id] == system.chips


@pytest.mark.parametrize(
    ("of", "expected_of_a_chip"),
    [("core", 8e12), ("LNC=2", 4e12), ("LNC=1", 8e12), ("trn2.48xlarge", 1e12 / 16)],
)
def test_a_figure_of_ones_own_is_shown_for_every_unit(of, expected_of_a_chip):
    table = unit_table(CHIPS["trainium2"], given=Given("1 TFLOPS", of))

    figures = {(row.unit, row.name): row.figures["given"] for row in table.rows}
    assert figures["chip", ""] == pytest.approx(expected_of_a_chip)
    assert figures["ultraserver", "trn2_ultraserver"] == pytest.approx(64 * expected_of_a_chip)
    assert table.figures["given"]["si_unit"] == "FLOP/s"


def test_a_cores_figure_is_multiplied_by_the_cores():
    row = next(
        row
        for row in unit_table(CHIPS["trainium2"], ["tensor_engine_per_core.bf16"]).rows
        if row.unit == "chip"
    )
    assert row.figures == {"tensor_engine_per_core.bf16": 8 * 79e12}
    assert (row.cores, row.devices, row.source) == (8, 4, "")


@pytest.mark.parametrize(
    ("fields", "given", "message"),
    [
        (["x.y"], None, "no 'x.y'; wanted one of peak_dense"),
        (["cores.physical"], None, "'cores.physical' doesn't add up over chips; wanted"),
        ([], Given("1 TFLOP/s", "rack"), "comes in no 'rack'; known: core, device, LNC=2"),
        ([], Given("1 parsec", "chip"), "'1 parsec' given; wanted a number and one of GFLOP/s"),
        ([], Given("1.2.3 GB", "chip"), "'1.2.3 GB' given; wanted a number"),
        ([], Given("-1 GB", "chip"), "'-1 GB' given; wanted more than 0"),
        ([], Given("2 GHz", "chip"), "'2 GHz' given; wanted a number and one of"),
        ([], Given("83,2 PFLOPS", "chip"), "'83,2 PFLOPS' given; wanted a number"),
        ([], Given("8,3.2 PFLOPS", "chip"), "'8,3.2 PFLOPS' given; wanted a number"),
        ([], Given("PFLOPS", "chip"), "'PFLOPS' given; wanted a number"),
        ([], Given("1 GB", ""), "comes in no ''; known: core"),
    ],
)
def test_what_cant_be_converted_is_refused_in_one_message(fields, given, message):
    with pytest.raises(CatalogError, match=r"given|chip 'trainium2'") as caught:
        unit_table(CHIPS["trainium2"], fields, given)
    assert message in str(caught.value)


def test_the_command_prints_what_the_ultraserver_makes_of_a_chip():
    done = run("trainium3", "peak_dense.mxfp8", "--json")
    table = json.loads(done.stdout)
    by_name = {row["name"] or row["unit"]: row for row in table["rows"]}

    assert by_name["trn3_gen2_ultraserver"]["figures"]["peak_dense.mxfp8"] == pytest.approx(
        144 * 2517e12
    )
    assert by_name["trn3_gen2_ultraserver"]["devices"] == 576
    assert table["absent"]["dollar-hour"] == "the catalog has no such price; give --price"
    assert by_name["trn3_ultracluster"]["unconfirmed"]


def test_the_table_names_price_and_what_is_unconfirmed():
    done = run("trainium2", "--price", "trainium2=2")

    assert "dollar-hour: 2 USD, as given" in done.stdout
    assert "500 W?" in done.stdout, "a TDP that no page of the vendor's gives"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trainium2", "--given", "1 GB"], "--given given without --of"),
        (["trainium2", "--of", "chip"], "--of given without --given"),
        (["trainium2", "--price", "trainium2=0"], "--price 'trainium2=0' given"),
        (["trainium2", "--price", "trainium2=1e-320"], "from 1e-06 to 100000"),
        (["trainium2", "--price", "trainium2=1", "--price", "trainium2=2"], "given twice"),
        (["trainium2", "--price", "trainium3=1"], "--price of 'trainium3' given; wanted"),
        (["trainium2", "--region", "mars"], "unknown region 'mars'"),
        (["trainium2", "--chip-file", "."], "wanted a TOML file"),
        (["trainium2", "--purchase", "theft"], "unknown way of buying 'theft'"),
        (["tranium2"], "unknown chip 'tranium2'"),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    done = run(*arguments)

    assert (done.returncode, done.stdout) == (4, "")
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_thousands_may_have_commas():
    table = unit_table(CHIPS["trainium2"], given=Given("1,300.5 TFLOPS", "chip"))
    (chip,) = [row for row in table.rows if row.unit == "chip"]

    assert chip.figures["given"] == pytest.approx(1300.5e12)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_what_was_asked_for_is_the_last_to_go_and_what_went_is_named(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    told = run("trainium2", "--given", "83.2 PFLOPS", "--of", "ultraserver").stdout

    assert "1.3 PFLOP/s" in told
    assert ("no room for" in told) is (width < 120)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "mine"', 'id = "../x [red]"', "small letters, digits and _"),
        ("physical = { value = 8,", "physical = { value = 2.5,", "a whole number from 1 to"),
        ("physical = { value = 8,", f"physical = {{ value = 1{'0' * 5000},", "not valid TOML"),
        ("physical = { value = 8,", f"x = {'[' * 5000}", "not valid TOML"),
    ],
)
def test_a_chips_file_that_is_none_is_one_line(tmp_path, old, new, message):
    text = (load_catalog_folder() / "trainium2.toml").read_text(encoding="utf-8")
    text = text.replace('id = "trainium2"', 'id = "mine"')
    assert old in text
    own = tmp_path / "mine.toml"
    own.write_text(text.replace(old, new, 1), encoding="utf-8")
    done = run("mine", "--chip-file", str(own))

    assert done.returncode == 4
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_mark_of_byte_order_is_no_fault(tmp_path):
    text = (load_catalog_folder() / "trainium2.toml").read_text(encoding="utf-8")
    own = tmp_path / "mine.toml"
    own.write_text("\ufeff" + text.replace('id = "trainium2"', 'id = "mine"'), encoding="utf-8")

    assert run("mine", "--chip-file", str(own)).returncode == 0


def test_a_chip_of_ones_own_comes_in_the_units_that_its_file_states(tmp_path):
    source = (load_catalog_folder() / "trainium2.toml").read_text(encoding="utf-8")
    own = tmp_path / "mine.toml"
    own.write_text(source.replace('id = "trainium2"', 'id = "mine"'), encoding="utf-8")
    done = run("mine", "--chip-file", str(own), "--json")
    table = json.loads(done.stdout)

    assert {row["unit"] for row in table["rows"]} == {"core", "device", "chip"}
    assert table["absent"]["instance"] == "the catalog knows no instance of it"


def load_catalog_folder():
    from pathlib import Path

    import trnbench.specs

    return Path(trnbench.specs.__file__).parent / "chips"
