"""``trnbench specs``, as a person calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trnbench.bench.cli import app
from trnbench.bench.errors import UsageError
from trnbench.specs.catalog import load_catalog
from trnbench.specs.figure import CatalogError
from trnbench.specs.prices import find_price

OWN = Path(__file__).parents[2] / "docs" / "examples" / "my_chip.toml"


def run(*arguments):
    return CliRunner().invoke(app, ["specs", *arguments], env={"COLUMNS": "200"})


def read(*arguments):
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


# ------------------------------------------------------------------ show


def test_show_gives_each_figure_with_its_source_and_shares():
    sheet = read("show", "trainium2")
    rows = {row["field"]: row for row in sheet["rows"]}

    peak = rows["peak_dense.bf16"]
    assert (peak["si"], peak["si_unit"], peak["level"]) == (667e12, "FLOP/s", "chip")
    assert (peak["per_core"], peak["per_device"], peak["per_chip"]) == (
        pytest.approx(667e12 / 8),
        pytest.approx(667e12 / 4),
        667e12,
    )
    assert (peak["source"], peak["date"], peak["status"]) == (
        "neuron_trainium2",
        "2025-12-01",
        "official",
    )
    assert peak["where"].endswith("trainium2.rst")
    assert [other["si"] for other in peak["alternatives"]] == [632e12]
    assert "tensor engines alone" in peak["because"]
    engine = rows["tensor_engine_per_core.bf16"]
    assert (engine["level"], engine["per_core"], engine["per_chip"]) == ("core", 79e12, 632e12)
    assert rows["engines.tensor_clock"]["per_chip"] is None
    assert rows["power.tdp"]["unconfirmed"]
    assert not peak["unconfirmed"]
    assert "official TDP" in sheet["missing"]
    assert {one["id"]: one["chips"] for one in sheet["systems"]}["trn2_ultraserver"] == 64
    assert {one["region"] for one in sheet["prices"]} == {"us-east-2"}


def test_show_prints_what_json_holds():
    text = run("show", "trainium3").output

    assert "2048 GiB/s" in text
    assert "704 GB/s" in text
    assert "was chosen because" in text
    assert "ultraserver trn3_gen2_ultraserver: 144 chips" in text
    assert "missing: official TDP" in text
    assert "press?" in text


def test_show_of_some_fields_leaves_out_the_rest():
    sheet = read("show", "l4", "memory", "power.tdp")

    assert {row["field"] for row in sheet["rows"]} == {
        "memory.capacity",
        "memory.bandwidth",
        "power.tdp",
    }
    done = run("show", "l4", "memroy")
    assert isinstance(done.exception, CatalogError)
    assert "chip 'l4' has no 'memroy'; its sections: " in str(done.exception)


def test_a_vendors_figure_in_a_copy_is_unconfirmed():
    rows = {row["field"]: row for row in read("show", "h200_sxm")["rows"]}

    assert rows["peak_dense.bf16"]["unconfirmed"]
    assert not rows["memory.capacity"]["unconfirmed"]


def test_an_unknown_chip_is_answered_with_the_nearest():
    done = run("show", "tranium2")

    assert isinstance(done.exception, CatalogError)
    assert "Did you mean 'trainium2'?" in str(done.exception)


# ------------------------------------------------------------------ compare


def ratios(rows, quantity):
    return {row["unit"]: row["cells"][1]["ratio"] for row in rows if row["quantity"] == quantity}


def test_compare_gives_ratios_per_unit_of_silicon():
    rows = read("compare", "trainium2", "trainium3", "--price", "trainium3=4.47")

    bf16 = ratios(rows, "dense bf16")
    assert bf16["chip"] == bf16["core"] == bf16["device"] == pytest.approx(671 / 667)
    assert bf16["ultraserver"] == pytest.approx(144 * 671 / (64 * 667))
    assert bf16["instance"] is None
    assert bf16["dollar-hour"] == pytest.approx(671 / 667 * 2.235 / 4.47)
    assert ratios(rows, "memory bandwidth")["chip"] == pytest.approx(4.9 / 2.9)
    assert ratios(rows, "price")["chip"] == pytest.approx(2)
    (without,) = [row for row in rows if (row["quantity"], row["unit"]) == ("dense mxfp8", "chip")]
    assert without["cells"][0]["why"] == "no source gives dense mxfp8"
    assert without["cells"][1]["ratio"] is None


def test_an_ultraserver_is_compared_by_its_name():
    """The same number of chips on both sides, which is what a headline leaves out."""
    rows = read(
        "compare", "trn2_ultraserver", "trn3_gen1_ultraserver", "trn3_gen2_ultraserver",
        "--per", "ultraserver,chip",
    )  # fmt: skip
    (bf16,) = [r for r in rows if (r["quantity"], r["unit"]) == ("dense bf16", "ultraserver")]

    assert [cell["ratio"] for cell in bf16["cells"]] == [
        1,
        pytest.approx(671 / 667),
        pytest.approx(144 * 671 / (64 * 667)),
    ]
    assert [cell["of"] for cell in bf16["cells"]] == [
        "trn2_ultraserver, 64 chips",
        "trn3_gen1_ultraserver, 64 chips",
        "trn3_gen2_ultraserver, 144 chips",
    ]
    assert ratios(rows, "dense bf16")["chip"] == pytest.approx(671 / 667)


def test_a_links_direction_stands_beside_its_figure():
    rows = read("compare", "trainium2", "h100_sxm", "--per", "chip")
    (link,) = [row for row in rows if row["quantity"] == "link"]

    assert [cell["of"] for cell in link["cells"]] == [
        "link's direction: not stated",
        "link's direction: bidirectional (duplex)",
    ]


def test_an_ultraserver_has_the_price_of_its_own_instances():
    """A trn2u.48xlarge isn't in the list, and that of a trn2.48xlarge is another price."""
    rows = read("compare", "trn2u.48xlarge", "trn2_ultraserver", "trainium2", "--per", "chip")
    (price,) = [row for row in rows if row["quantity"] == "price"]

    assert [cell["value"] for cell in price["cells"]] == [None, None, pytest.approx(2.235)]


def test_where_nothing_can_be_compared_it_is_said():
    told = str(run("compare", "tpu_v5e", "inferentia1", "--per", "device").exception)
    assert "nothing of tpu_v5e, inferentia1 is known per device" in told


def test_an_instance_has_its_own_price():
    rows = read("compare", "trn1.32xlarge", "trn1n.32xlarge", "trainium1", "--per", "chip")
    (price,) = [row for row in rows if row["quantity"] == "price"]

    assert [cell["value"] for cell in price["cells"]] == [
        pytest.approx(find_price("trainium1", "trn1.32xlarge").usd_per_chip_hour),
        pytest.approx(1.5488),
        pytest.approx(find_price("trainium1").usd_per_chip_hour),
    ]
    own = read("compare", "trn1.32xlarge", "trn1n.32xlarge", "--price", "trainium1=2")
    (price,) = [row for row in own if row["quantity"] == "price"]
    assert [cell["value"] for cell in price["cells"]] == [2, 2]


def test_compare_refuses_what_it_cant_compare():
    unknown = str(run("compare", "l4", "trn2_ultrasrver").exception)
    assert "unknown chip or system 'trn2_ultrasrver'" in unknown
    assert "Did you mean 'trn2_ultraserver'?" in unknown
    assert "wanted two or more" in str(run("compare", "l4").exception)
    per = str(run("compare", "l4", "t4", "--per", "chp").exception)
    assert "unknown unit of silicon 'chp'" in per
    assert "'chip'" in per
    price = run("compare", "l4", "t4", "--price", "l5=1").exception
    assert "unknown chip 'l5'" in str(price)


def test_prices_are_chosen_by_region_and_way_of_buying():
    assert find_price("trainium1").kind == "on_demand"
    block = find_price("trainium1", kind="capacity_block")
    assert (block.region, block.usd_per_chip_hour) == ("ap-southeast-4", 0.9681)
    assert find_price("trainium1", region="eu-north-1") is None
    rows = read("compare", "trainium1", "trainium2", "--per", "chip", "--region", "us-east-2")
    (price,) = [row for row in rows if row["quantity"] == "price"]
    assert [cell["value"] for cell in price["cells"]] == [None, pytest.approx(2.235)]


# ------------------------------------------------------------------ a chip of one's own


def test_a_chip_of_ones_own_is_shown_and_compared():
    assert read("show", "acme_one", "--chip-file", str(OWN))["name"] == "Acme One"
    rows = read("compare", "h100_sxm", "acme_one", "--chip-file", str(OWN))
    assert ratios(rows, "dense bf16")["chip"] == pytest.approx(800 / 989)
    with pytest.raises(CatalogError, match="unknown chip 'acme_one'"):
        load_catalog().chip("acme_one")


@pytest.mark.parametrize(
    ("old", "new", "field", "given"),
    [
        ('id = "acme_one"', 'id = "l4"', "id", "'l4'"),
        ("acme_datasheet", "stas_acc", "source.stas_acc", "a source that is there already"),
        ("[source.acme_datasheet]", "[source.other]", "cores.physical.source", "'acme_datasheet'"),
    ],
)
def test_a_chip_of_ones_own_takes_no_name_that_is_taken(tmp_path, old, new, field, given):
    path = tmp_path / "mine.toml"
    path.write_text(OWN.read_text().replace(old, new))

    done = run("lint", str(path), "--json")

    assert done.exit_code == 1
    (found,) = json.loads(done.stdout)
    assert (found["file"], found["field"], found["given"]) == ("mine.toml", field, given)


@pytest.mark.parametrize(
    ("head", "without", "tail", "field"),
    [
        ("", "[source.acme_datasheet]", '[[source]]\nwhere = "a data sheet"', "source"),
        ('source = "x"', "[source.acme_datasheet]", "", "source"),
        ("device = [1]", "[[device]]", "", "device"),
        ("", "[[device]]", '[device]\nmode = "whole"', "device"),
        ("disagreement = 3", "", "", "disagreement"),
        ('disagreement = ["memory.bandwidth"]', "", "", "disagreement"),
        (
            "",
            "",
            '[[disagreement]]\nfield = "memory.bandwidth"\nbecause = "x"\nalternatives = 3',
            "disagreement.memory.bandwidth.alternatives",
        ),
    ],
)
def test_tables_of_another_form_are_one_message(tmp_path, head, without, tail, field):
    path = tmp_path / "mine.toml"
    tables = [one for one in OWN.read_text().split("\n\n") if not one.startswith(without or "-")]
    path.write_text("\n\n".join([head, *tables, tail]))

    for arguments in (["lint", str(path)], ["show", "acme_one", "--chip-file", str(path)]):
        done = run(*arguments)
        said = done.output if arguments[0] == "lint" else str(done.exception)
        assert done.exit_code == 1
        assert f"field '{field}'" in said
        assert "; wanted " in said


def test_a_fraction_is_shown(tmp_path):
    path = tmp_path / "mine.toml"
    origin = 'source = "acme_datasheet", date = "2026-05", status = "official"'
    share = f'[facts]\nidle = {{ value = 0.5, unit = "fraction", {origin} }}\n'
    path.write_text(f"{OWN.read_text()}\n{share}")

    (row,) = [
        one
        for one in read("show", "acme_one", "--chip-file", str(path))["rows"]
        if one["field"] == "facts.idle"
    ]

    assert (row["si"], row["si_unit"], row["per_device"]) == (0.5, "", None)


def test_lint_of_ones_own_chip_finds_its_faults_and_exits_with_1(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(OWN.read_text().replace("value = 1600", "value = 3200"))

    assert run("lint", str(OWN)).exit_code == 0
    done = run("lint", str(path))
    found = json.loads(run("lint", str(path), "--json").stdout)

    assert done.exit_code == 1
    assert "22 chips: 1 finding\n" in done.output
    assert [(one["file"], one["field"], one["rule"]) for one in found] == [
        ("mine.toml", "peak_dense.fp8", "peaks")
    ]


def test_a_file_that_isnt_there_is_named(tmp_path):
    done = run("show", "acme_one", "--chip-file", str(tmp_path / "none.toml"))

    assert "none.toml: no such file" in str(done.exception)


# ------------------------------------------------------------------ what it costs to ask


@pytest.mark.parametrize(
    "arguments",
    [
        ["lint"],
        ["list"],
        ["show", "trainium3"],
        ["units", "trainium2"],
        ["roofline", "trainium2"],
        ["compare", "trainium2", "h100_sxm"],
    ],
)
def test_nothing_heavy_is_imported(arguments):
    code = (
        "import sys\n"
        f"sys.argv = ['trnbench', 'specs', *{arguments!r}]\n"
        "from trnbench.bench.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as leaving:\n    assert not leaving.code, leaving.code\n"
        "heavy = {'torch', 'pandas', 'scipy', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr


def test_lint_of_a_file_that_is_not_there_is_a_mistake_and_no_finding(tmp_path):
    done = run("lint", str(tmp_path / "nosuch.toml"))

    assert isinstance(done.exception, UsageError)
    assert "no file" in str(done.exception)
