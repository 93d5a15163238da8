"""Claims against the catalog: the worked ones, new ones, faulty ones, and what a figure moves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import trnbench.specs
from trnbench.bench.cli import app
from trnbench.models.registry import builtin_families
from trnbench.specs.claim import _digits, load_claims
from trnbench.specs.claim_quantities import World
from trnbench.specs.claims import judge_claims
from trnbench.specs.figure import CatalogError

WORKED = Path(__file__).parents[2].parent / "shared" / "specs" / "claims.toml"
SPECS = Path(trnbench.specs.__file__).parent
NEW = """
[[claim]]
id = "mine"
statement = "Trainium3 has half as much memory again as Trainium2."
subject = "Trainium3"
baseline = "Trainium2"
level = "chip"
kind = "ratio"
quantity = "memory"
chips = ["trainium3"]
baseline_chips = ["trainium2"]
value = 1.5
unit = "x"
"""


@pytest.fixture(scope="module")
def judged():
    return {one.id: one for one in judge_claims(load_claims(), World.load())}


def judge(tmp_path, text):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return judge_claims(load_claims(file), World.load())


def one_of(tmp_path, **changes):
    """The new claim above with other columns; None leaves one out."""
    (entry,) = tomllib.loads(NEW)["claim"]
    columns = {**entry, **changes}
    lines = [
        f"{name} = {json.dumps(value)}" for name, value in columns.items() if value is not None
    ]
    (found,) = judge(tmp_path, "[[claim]]\n" + "\n".join(lines))
    return found


def test_what_a_claim_asks_to_measure_is_a_workload():
    asked = {name for claim in load_claims() for name in claim.measure}

    assert asked
    assert asked <= {family.name for family in builtin_families()}


@pytest.mark.skipif(not WORKED.is_file(), reason="the worked claims aren't beside this checkout")
def test_the_worked_examples_come_out_as_worked(judged):
    entries = tomllib.loads(WORKED.read_text())["claim"]
    worked = {one["id"]: one["verdict"] for one in entries if "verdict" in one}

    assert {one["id"] for one in entries} == set(judged)
    assert {name: judged[name].verdict for name in worked} == worked
    assert len(worked) == 24


@pytest.mark.parametrize(
    ("name", "computed"),
    [
        ("s000-speed-4x", 1.94),
        ("s000-mem-4x-capacity", 1.5),
        ("s000-us-4x-faster", 4.36),
        ("s003-compute-4.4x", 4.36),
        ("s003-hbm-bw-3.9x", 3.80),
        ("s003-64-slots", 144),
        ("s004-sparse-4x", 1.97),
        ("s004-us-83.2", 83.2),
        ("s004-h100-3.35", 3.35),
        ("s003-energy-40", -3.12),
    ],
)
def test_the_figures_are_those_of_the_worked_arithmetic(judged, name, computed):
    assert judged[name].computed == pytest.approx(computed, rel=5e-3)


def test_every_claim_has_a_verdict_and_a_sentence(judged):
    assert len(judged) == 69
    for one in judged.values():
        assert one.arithmetic
        assert one.verdict != "unverifiable" or one.needs, one.id
        # What isn't settled by figures has none to show, and the other way round.
        assert one.levels or one.verdict == "unverifiable", one.id


def test_four_times_is_said_to_be_mxfp8_on_more_chips(judged):
    said = judged["s000-speed-4x"].arithmetic

    assert "mxfp8 against fp8" in said
    assert "bf16 1.01" in said
    assert "2.25 x as many chips, 1.94 x each" in said


def test_claims_that_can_t_both_be_true_name_each_other(judged):
    speed, double = judged["s000-speed-4x"], judged["s003-compute-2x"]

    assert "s003-compute-2x" in {one.id for one in speed.conflicts}
    assert "s000-speed-4x" in {one.id for one in double.conflicts}
    # 4.4 times needs the UltraServer of 144 chips, and another says that 64 is the most.
    (size,) = judged["s003-compute-4.4x"].conflicts
    assert size.id == "s003-64-slots"
    assert "144" in size.why


def test_a_doubled_figure_changes_the_verdicts_that_rest_on_it(judged, tmp_path):
    copy = tmp_path / "specs"
    shutil.copytree(SPECS, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    chip = copy / "chips" / "trainium3.toml"
    text = chip.read_text()
    assert text.count("\nmxfp8 = { value = 2517,") == 1
    chip.write_text(text.replace("\nmxfp8 = { value = 2517,", "\nmxfp8 = { value = 5034,"))

    result = CliRunner().invoke(app, ["claims", "--json", "--catalog", str(copy)])
    doubled = {one["id"]: one["verdict"] for one in json.loads(result.stdout)}

    assert {name: one for name, one in doubled.items() if one != judged[name].verdict} == {
        "s000-speed-4x": "consistent",
        # Twice is what the larger UltraServer has in the other dtypes.
        "s003-compute-2x": "consistent_at_other_level",
        "s003-compute-4.4x": "contradicted",
        "s004-perf-4x": "consistent",
        "s004-us-332.8-proj": "consistent_at_other_level",
    }


def test_a_new_claim_is_judged(tmp_path):
    (mine,) = judge(tmp_path, NEW)

    assert (mine.verdict, mine.computed) == ("consistent", 1.5)
    assert mine.arithmetic == "chip (trainium3 against trainium2): 144 GiB / 96 GiB = 1.5"


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"value": 1.4}, "contradicted"),
        ({"value": 1.55}, "consistent_at_other_level"),
        ({"value": 1.4, "comparator": "at_least"}, "consistent"),
        ({"value": 3.4}, "consistent_at_other_level"),
        ({"value": 2, "digits": 1}, "consistent"),
        ({"chips": ["trainium4"], "value": 3}, "unverifiable"),
        ({"quantity": "peak_per_watt", "value": 1}, "unverifiable"),
    ],
)
def test_the_rule(tmp_path, changes, verdict):
    assert one_of(tmp_path, **changes).verdict == verdict


def test_gigabytes_may_be_those_of_the_page(tmp_path):
    absolute = {"kind": None, "baseline_chips": None, "unit": "GB"}
    printed = one_of(tmp_path, **absolute, value=144)
    decimal = one_of(tmp_path, **absolute, value=155)

    assert (printed.verdict, decimal.verdict) == ("consistent", "consistent")
    assert "the page's unit is GiB: 154.6 GB" in printed.arithmetic


@pytest.mark.parametrize(
    ("given", "instead", "said"),
    [
        ("[[claim]]", "[claim]", "no claims; wanted tables"),
        ('id = "mine"', "", "claim 'number 1', field 'id': nothing; wanted a text"),
        ('level = "chip"', 'level = "rack"', "field 'level': 'rack'; wanted one of core"),
        ('quantity = "memory"', 'quantity = "speed"', "field 'quantity': 'speed'; wanted one of"),
        ('quantity = "memory"', "", "field 'quantity': nothing; wanted a quantity, or needs"),
        ("value = 1.5", 'value = "1.5"', "field 'value': '1.5'; wanted a number"),
        ("value = 1.5", "", "field 'value': nothing; wanted a number"),
        ('unit = "x"', 'unit = "bananas"', "field 'unit': 'bananas'; wanted one of"),
        ('unit = "x"', 'unit = "x"\nverdict = "consistent"', "field 'verdict': given; wanted no"),
        ('unit = "x"', 'unit = "x"\nfoo = 1', "field 'foo': given; wanted one of"),
        ('baseline_chips = ["trainium2"]', "", "field 'baseline_chips': nothing; wanted the chips"),
        ('["trainium3"]', '["trainium33"]', "unknown chip 'trainium33'"),
        ('unit = "x"', 'unit = "x"\nsystems = ["trn9"]', "field 'systems': 'trn9'; known:"),
        ("value = 1.5", "value = ", "mine.toml"),
    ],
)
def test_a_faulty_claim_is_one_message(tmp_path, given, instead, said):
    assert NEW.count(given) == 1
    with pytest.raises(CatalogError, match=re.escape(said)):
        judge(tmp_path, NEW.replace(given, instead))


def test_the_same_id_twice_is_refused(tmp_path):
    with pytest.raises(CatalogError, match="claim 'mine' stands there twice"):
        judge(tmp_path, NEW + NEW)


def test_json_has_what_other_programs_read():
    result = CliRunner().invoke(app, ["claims", "--json"])
    rows = json.loads(result.stdout)

    assert result.exit_code == 0
    assert len(rows) == 69
    for row in rows:
        assert {"id", "verdict", "level", "claimed", "computed", "arithmetic"} <= set(row)


def test_the_page_has_the_counts_and_takes_names():
    everything = CliRunner().invoke(app, ["claims"]).stdout
    chosen = CliRunner().invoke(app, ["claims", "s000-speed"]).stdout

    assert "contradicted: 11 of 69" in everything
    assert "consistent at other level: 1 of 1" in chosen
    assert "s003" not in chosen.partition("not beside")[0]


def test_claims_of_one_s_own_are_read_from_a_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(NEW)
    result = CliRunner().invoke(app, ["claims", "--claims", str(file), "--json"])

    (row,) = json.loads(result.stdout)
    assert (row["id"], row["verdict"]) == ("mine", "consistent")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": 0}, "field 'value': 0; wanted more than 0"),
        ({"value": 4, "high": 3}, "field 'high': 3; wanted more than value"),
        ({"value": -100, "unit": "%"}, "less than nothing is left"),
        ({"kind": "absolute", "unit": "TFLOPS"}, "'TFLOPS', a rate; wanted a unit of size"),
        ({"kind": "absolute", "quantity": "peak", "unit": "GB"}, "wanted a unit of rate"),
        ({"quantity": "available", "text": "2025-99", "value": None}, "wanted a date as 2025-12"),
        ({"quantity": "percent_of_factor"}, "field 'factor': nothing"),
        ({"quantity": "years_since"}, "field 'since': nothing"),
        ({"dtypes": ["zz"]}, "field 'dtypes': 'zz'; known: fp32"),
    ],
)
def test_what_can_mean_nothing_is_refused(tmp_path, changes, message):
    with pytest.raises(CatalogError) as caught:
        one_of(tmp_path, **changes)
    assert message in str(caught.value)


def test_a_file_of_claims_holds_nothing_else(tmp_path):
    with pytest.raises(CatalogError, match="'claims' given; wanted tables"):
        judge(tmp_path, "claims = 1\n" + NEW)
    with pytest.raises(CatalogError, match="wanted a TOML file"):
        load_claims(tmp_path)


def test_a_round_number_has_as_many_digits_as_it_says(tmp_path):
    """A million chips is one digit, and 500,001 is six."""
    assert one_of(tmp_path, value=1.5).verdict == "consistent"
    assert [_digits(value) for value in (1e6, 100000.0, 83.2, 4.0, 500001.0)] == [1, 1, 3, 1, 6]


def test_at_least_a_decrease_is_that_or_more(tmp_path):
    """Trainium3's fp8 peak is 2.7 % below Trainium2's."""
    changes = {"quantity": "peak", "dtypes": ["fp8"], "unit": "%", "comparator": "at_least"}

    assert one_of(tmp_path, **changes, value=-2).verdict == "consistent"
    assert one_of(tmp_path, **changes, value=-5).verdict == "contradicted"


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"value": 3.5}, "consistent"),
        ({"value": 3.51}, "consistent"),
        ({"value": 3.4}, "contradicted"),
        ({"value": 3.6}, "contradicted"),
        ({"value": 4}, "consistent"),
    ],
)
def test_up_to_is_judged_to_its_digits(tmp_path, changes, verdict):
    """667 TFLOP/s are 3.51 times 190."""
    peak = {"quantity": "peak", "dtypes": ["bf16"], "chips": ["trainium2"]}
    of_two = {**peak, "baseline_chips": ["trainium1"], "comparator": "up_to"}

    assert one_of(tmp_path, **of_two, **changes).verdict == verdict


def test_up_to_means_the_largest_to_its_digits_and_not_another(tmp_path):
    """Of 667 bf16 and 1299 fp8 TFLOP/s, the second; of 96 GiB, the page's number too."""
    absolute = {"kind": None, "baseline_chips": None, "chips": ["trainium2"], "comparator": "up_to"}
    peak = {**absolute, "quantity": "peak", "unit": "TFLOPS"}

    assert one_of(tmp_path, **peak, dtypes=["bf16"], value=670).verdict == "consistent"
    assert one_of(tmp_path, **peak, dtypes=["bf16"], value=680).verdict == "contradicted"
    assert one_of(tmp_path, **peak, dtypes=["bf16", "fp8"], value=667).verdict == "contradicted"
    assert one_of(tmp_path, **peak, dtypes=["bf16", "fp8"], value=1300).verdict == "consistent"
    assert one_of(tmp_path, **absolute, unit="GB", value=96).verdict == "consistent"


def test_the_largest_decrease_leaves_least(tmp_path):
    """Of Trainium2's peaks Trainium3's fp8 is 2.7 % below, and the others are above."""
    changes = {"quantity": "peak", "dtypes": ["fp8", "bf16"], "unit": "%", "comparator": "up_to"}

    assert one_of(tmp_path, **changes, value=-2.7).verdict == "consistent"


def test_a_ratio_has_no_unit_of_its_own_and_a_figure_has_chips(tmp_path):
    with pytest.raises(CatalogError, match="field 'unit': 'PFLOPS' of a ratio; wanted one of x, %"):
        one_of(tmp_path, unit="PFLOPS")
    with pytest.raises(CatalogError, match="field 'chips': nothing; wanted the chips"):
        one_of(tmp_path, chips=[])


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("digits", 0, "a whole number from 1 to 17"),
        ("digits", 10**400, "a whole number from 1 to 17"),
        ("since", 10**5, "a whole number from 1 to 9999"),
    ],
)
def test_a_count_beyond_what_is_meant_is_refused(tmp_path, key, value, wanted):
    with pytest.raises(CatalogError, match=f"field '{key}': .*wanted {wanted}") as caught:
        one_of(tmp_path, **{key: value})
    assert len(str(caught.value)) < 200


def test_a_page_of_markdown_has_every_claim_and_no_markup_of_theirs(tmp_path):
    file = tmp_path / "mine.toml"
    hostile = "<script>x</script> **bold** [a](http://x) | @who #1 `code`"
    file.write_text(NEW.replace("Trainium3 has half", f"{hostile} has half"))
    page = CliRunner().invoke(app, ["claims", "--claims", str(file), "--markdown"]).stdout
    whole = CliRunner().invoke(app, ["claims", "--markdown"]).stdout

    assert page.startswith("## consistent: 1 of 1, as claimed, in the reading that is named\n")
    for sign in ("<", "[", "|", "](", "`code`"):
        assert sign not in page.replace("`mine`", "")
    assert page.count("**") == 2, "the statement itself, and nothing in it"
    assert len(re.findall(r"^\*\*", whole, re.MULTILINE)) == 69
    assert whole.index("## contradicted") < whole.index("## consistent at other level")
    assert "- to measure on trainium3 and on trainium2: matmul, decoder" in whole
    both = CliRunner().invoke(app, ["claims", "--markdown", "--json"]).exception
    assert "--json and --markdown given" in str(both)


@pytest.mark.parametrize("form", ["--json", "--markdown"])
def test_no_heavy_package_is_imported(form):
    code = (
        "import sys; from trnbench.bench.cli import app\n"
        f"try: app(['claims', '{form}'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'pandas', 'scipy', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (600, "consistent"),
        # An instance has 16 times as much, and nobody speaks of it.
        (700, "contradicted"),
        # 10,672 TFLOP/s of trn2.48xlarge.
        (10_500, "consistent_at_other_level"),
    ],
)
def test_at_least_is_not_borne_out_by_what_a_whole_system_has(tmp_path, value, verdict):
    judged = one_of(
        tmp_path,
        kind="absolute",
        quantity="peak",
        subject="Trainium2",
        baseline=None,
        chips=["trainium2"],
        baseline_chips=None,
        dtypes=["bf16"],
        value=value,
        unit="TFLOPS",
        comparator="at_least",
    )

    assert judged.verdict == verdict
