"""What stored records say of a claim: two chips' common cases, and the best that each reached."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trnbench.bench.cli import app
from trnbench.results.claim_evidence import weigh
from trnbench.results.frame import frame_of
from trnbench.results.record import Status
from trnbench.specs.claim import load_claims

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "published"
SHARES = {"trainium1": 0.5, "trainium2": 0.25, "trainium3": 0.25, "h200_sxm": 1.0}
SIZES = (512, 1024, 2048)
SPEED = {
    "statement": "Trainium3 is twice as fast as Trainium2.",
    "subject": "Trainium3",
    "kind": "ratio",
    "quantity": "peak",
    "chips": ["trainium3"],
    "baseline_chips": ["trainium2"],
    "value": 2,
    "unit": "x",
    "measure": ["matmul"],
}


@pytest.fixture
def claim(tmp_path):
    def build(**changes):
        columns = {"id": "mine", **SPEED, **changes}
        lines = [f"{k} = {json.dumps(v)}" for k, v in columns.items() if v is not None]
        file = tmp_path / "mine.toml"
        file.write_text("[[claim]]\n" + "\n".join(lines) + "\n", encoding="utf-8")
        (found,) = load_claims(file)
        return found

    return build


@pytest.fixture
def runs(make):
    """Records of matmul in so many seconds a call for each chip."""

    def build(dtype="bf16", origin="measured", **seconds):
        records = []
        for chip, given in seconds.items():
            times = given if isinstance(given, tuple) else (given,) * len(SIZES)
            for size, time_s in zip(SIZES, times, strict=True):
                records.append(
                    make.record(
                        make.case(
                            configuration=f"square-{size}",
                            params={"m": size, "n": size, "k": size},
                            dtype=dtype,
                        ),
                        medians=(time_s, time_s * 1.001, time_s * 0.999),
                        run=f"20261122T021733Z-{chip}",
                        cost=make.cost(flops=2 * size**3),
                        device=make.device(name=chip, chip=chip, share=SHARES[chip]),
                        origin=origin,
                    )
                )
        return records

    return build


def weighed(claim, records, prices=None):
    return weigh([claim], frame_of(records), prices)[claim.id]


def test_common_cases_bear_a_claim_out_by_their_mean_and_interval(claim, runs):
    found = weighed(claim(), runs(trainium2=2e-3, trainium3=1e-3))

    common = found.readings[0]
    assert found.finding == "borne_out"
    assert (common.kind, common.pairing, common.cases) == ("common", "bf16", 3)
    assert common.value == pytest.approx(2.0, rel=1e-3)
    assert common.low <= common.value <= common.high
    assert found.origins == [
        "measured: 20261122T021733Z-trainium3",
        "measured: 20261122T021733Z-trainium2",
    ]


def test_a_chip_of_more_devices_counts_as_the_whole_of_them(claim, runs):
    """A device of Trainium1 is half a chip, one of Trainium2 a quarter."""
    both = {"chips": ["trainium2"], "baseline_chips": ["trainium1"]}
    found = weighed(claim(**both), runs(trainium1=1e-3, trainium2=1e-3))

    assert found.readings[0].value == pytest.approx(2.0, rel=1e-3)
    assert found.readings[1].kind == "best"
    assert found.readings[1].value == pytest.approx(2.0, rel=1e-3)


def test_two_chips_of_a_side_are_two_readings_and_no_mean_of_them(claim, runs):
    both = {"baseline_chips": ["trainium1", "trainium2"]}
    found = weighed(claim(**both), runs(trainium1=8e-3, trainium2=2e-3, trainium3=1e-3))

    common = {one.pairing: one for one in found.readings if one.kind == "common"}
    assert set(common) == {"bf16, trainium3 against trainium1", "bf16, trainium3 against trainium2"}
    assert common["bf16, trainium3 against trainium2"].value == pytest.approx(2.0, rel=1e-3)
    # Half a chip against a quarter of one.
    assert common["bf16, trainium3 against trainium1"].value == pytest.approx(16.0, rel=1e-3)


def test_what_was_measured_refutes_a_claim_that_no_reading_comes_near(claim, runs):
    found = weighed(claim(value=4), runs(trainium2=2e-3, trainium3=1e-3))

    assert found.finding == "not_borne_out"
    assert {one.agrees for one in found.readings} == {False}
    assert "3 cases that both ran, bf16: 2 (" in found.why


def test_cases_that_disagree_among_themselves_decide_nothing(claim, runs):
    # 4, 2 and 1 times as fast: the mean is 2, and so is no case.
    found = weighed(claim(value=2.6, digits=2), runs(trainium2=4e-3, trainium3=(1e-3, 2e-3, 4e-3)))

    common = found.readings[0]
    assert common.agrees is None
    assert common.low < 1
    assert common.high > 4
    assert found.finding == "undecided"


@pytest.mark.parametrize(
    ("comparator", "value", "finding"),
    [("at_least", 1.5, "borne_out"), ("at_least", 3, "not_borne_out"), ("up_to", 3, "borne_out")],
)
def test_a_bound_is_held_as_a_bound(claim, runs, comparator, value, finding):
    one = claim(comparator=comparator, value=value)
    assert weighed(one, runs(trainium2=2e-3, trainium3=1e-3)).finding == finding


def test_two_chips_say_nothing_of_a_rack(claim, runs):
    found = weighed(claim(level="ultraserver"), runs(trainium2=2e-3, trainium3=1e-3))

    assert found.finding == "undecided"
    assert found.why.startswith("per chip: ")
    assert found.why.endswith("no record is of a whole ultraserver")


def test_formats_that_vendors_pair_stand_against_one_another_at_their_best(claim, runs):
    records = [*runs("fp8", trainium2=2e-3), *runs("mxfp8", trainium3=1e-3)]
    (best,) = weighed(claim(), records).readings

    assert (best.kind, best.pairing) == ("best", "mxfp8 against fp8")
    assert best.value == pytest.approx(2.0, rel=1e-3)


def test_a_figure_without_an_interval_decides_nothing_at_the_edge(claim, runs):
    """2.4 times as fast at best: within "2 times", as long as it is surely below 2.5."""
    records = [*runs("fp8", trainium2=2.4e-3), *runs("mxfp8", trainium3=1e-3)]
    (best,) = weighed(claim(), records).readings

    assert best.value == pytest.approx(2.4, rel=1e-3)
    assert (best.low, best.high, best.agrees) == (None, None, None)
    assert weighed(claim(), records).finding == "undecided"


def test_a_dollar_is_counted_by_the_price_that_is_given(claim, runs):
    cost = claim(metric="cost", value=-50, unit="%", quantity=None, needs="a price")
    per_dollar = claim(quantity="peak_per_dollar", value=2)
    records = runs(trainium2=2e-3, trainium3=1e-3)

    for one in (cost, per_dollar):
        found = weighed(one, records, {"trainium2": 2.0, "trainium3": 2.0})
        assert (found.finding, len(found.readings)) == ("borne_out", 1)
    dear = weighed(cost, records, {"trainium2": 2.0, "trainium3": 4.0})
    assert dear.readings[0].value == pytest.approx(1.0, rel=1e-3)
    assert dear.finding == "not_borne_out"
    unpriced = weighed(cost, records)
    assert unpriced.finding == "no_records"
    assert "a price (--price)" in unpriced.why


@pytest.mark.parametrize(
    ("seconds", "finding", "words"),
    [
        # 2 x 2048^3 FLOP on a quarter of a chip: 1299 TFLOP/s a chip take 52.9 us.
        (52.9e-6, "borne_out", "100 % of what is claimed"),
        (105.8e-6, "undecided", "50 % of what is claimed: a peak that nothing has reached"),
        (40e-6, "not_borne_out", "132 % of what is claimed"),
    ],
)
def test_a_peak_is_reached_missed_or_passed(claim, runs, seconds, finding, words):
    one = claim(
        kind="absolute", chips=["trainium2"], baseline_chips=None, dtypes=["fp8"], value=1299,
        unit="TFLOPS",
    )  # fmt: skip
    found = weighed(one, runs("fp8", trainium2=seconds))

    assert found.finding == finding
    assert words in found.why
    assert "matmul square-2048" in found.why


PEAK = {"kind": "absolute", "chips": ["trainium1"], "baseline_chips": None, "unit": "TFLOPS"}


@pytest.mark.parametrize(
    ("changes", "finding", "words"),
    [
        # 80 TFLOP/s of a device that is a core, 160 of its chip.
        ({"level": "chip", "value": 160}, "borne_out", "a chip, 100 % of what is claimed"),
        ({"level": "device", "value": 80}, "borne_out", "a device, 100 % of what is claimed"),
        ({"level": "core", "value": 92}, "undecided", "a core, 87 % of what is claimed"),
        ({"level": "core", "value": 70, "digits": 2}, "not_borne_out", "114 % of what is"),
        ({"level": "chip", "per": "core", "value": 80}, "borne_out", "a core, 100 % of"),
        ({"level": "ultraserver", "value": 9}, "undecided", "no record is of a whole ultraserver"),
        ({"value": 100, "comparator": "at_least"}, "borne_out", "160 % of what is claimed"),
        ({"value": 200, "comparator": "at_least"}, "undecided", "80 % of what is claimed: a peak"),
        ({"value": 200, "comparator": "up_to"}, "undecided", "80 % of what is claimed: a peak"),
        ({"value": 100, "comparator": "up_to"}, "not_borne_out", "160 % of what is claimed"),
        ({"value": 200, "digits": 1}, "undecided", "80 % of what is claimed"),
        ({"value": 100, "high": 150}, "not_borne_out", "107 % of what is claimed"),
        ({"value": 150, "high": 170}, "borne_out", "94 % of what is claimed"),
    ],
)
def test_a_peak_is_held_at_its_level_and_by_its_comparator(claim, runs, changes, finding, words):
    found = weighed(claim(**{**PEAK, **changes}), runs(trainium1=2 * 2048**3 / 80e12))

    assert found.finding == finding, found.why
    assert words in found.why


def test_cores_of_two_chips_arent_the_same_part_of_them(claim, runs):
    """A device of Trainium1 is one core of two, one of Trainium2 two of eight."""
    both = {"chips": ["trainium2"], "baseline_chips": ["trainium1"], "level": "core", "value": 1}
    common, best = weighed(claim(**both), runs(trainium1=1e-3, trainium2=0.5e-3)).readings

    assert common.value == pytest.approx(1.0, rel=1e-3)
    assert best.value == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(
    ("comparator", "value", "seconds", "finding"),
    [
        ("at_least", -40, 0.5e-3, "borne_out"),
        ("at_least", -40, 1.6e-3, "not_borne_out"),
        ("up_to", -80, 1e-3, "borne_out"),
        ("up_to", -30, 0.5e-3, "not_borne_out"),
    ],
)
def test_a_decrease_is_bounded_from_the_other_side(
    claim, runs, comparator, value, seconds, finding
):
    cost = claim(
        metric="cost", comparator=comparator, value=value, unit="%", quantity=None, needs="-"
    )
    prices = {"trainium2": 2.0, "trainium3": 2.0}

    assert weighed(cost, runs(trainium2=2e-3, trainium3=seconds), prices).finding == finding


def test_a_set_that_a_cache_holds_says_nothing_of_the_memory(claim, make):
    """12 MiB in an H100's L2 of 50 MiB, and 192 MiB that are in none."""
    bandwidth = claim(
        kind="absolute", chips=["h100_sxm"], baseline_chips=None, quantity="memory_bandwidth",
        value=3.35, unit="TB/s", measure=["memory"],
    )  # fmt: skip

    def triad(size, bytes_per_s):
        return make.record(
            make.case(workload="memory", configuration=f"triad-{size}", params={"size": size}),
            medians=(size / bytes_per_s,) * 3,
            cost=make.cost(flops=0, bytes_moved=size, bytes_useful=size, working_set_bytes=size),
            device=make.device(name="H100", chip="h100_sxm", share=1.0),
        )

    cached, main = triad(12 * 2**20, 5.6e12), triad(192 * 2**20, 3.2e12)
    assert weighed(bandwidth, [cached]).finding == "no_records"
    assert "3.2 TB/s" in weighed(bandwidth, [cached, main]).why
    assert weighed(bandwidth, [cached, main]).finding == "borne_out"


def test_both_formats_of_eight_bits_are_fp8(claim, runs):
    fp8 = claim(
        kind="absolute", chips=["trainium2"], baseline_chips=None, dtypes=["fp8"], value=1299,
        unit="TFLOPS",
    )  # fmt: skip
    assert weighed(fp8, runs("fp8_e4m3", trainium2=52.9e-6)).finding == "borne_out"


def test_what_there_is_no_record_of_is_named(claim, runs):
    one = claim()
    assert weighed(one, runs(trainium2=1e-3)).why == (
        "no cases of trainium3 and 3 cases of trainium2: matmul"
    )
    efficiency = claim(quantity="peak_per_watt")
    assert "energy" in weighed(efficiency, runs(trainium2=1e-3, trainium3=1e-3)).why
    nobody = claim(baseline_chips=[], baseline="processors")
    assert "processors is no chip" in weighed(nobody, runs(trainium3=1e-3)).why


def test_failures_and_stand_ins_count_for_nothing(claim, runs, make):
    failed = [
        make.record(
            make.case(params={"m": 1}, dtype="bf16"),
            status=Status.CRASHED,
            device=make.device(chip=chip, share=0.25),
        )
        for chip in ("trainium2", "trainium3")
    ]
    simulated = runs(origin="simulated", trainium2=2e-3, trainium3=1e-3)
    for records in (failed, simulated):
        assert weighed(claim(), records).why.startswith("no cases of trainium3 and no cases")


def test_a_chips_own_share_that_is_none_is_unknown(claim, runs):
    records = [
        record.model_copy(update={"device": record.device.model_copy(update={"share": None})})
        for record in runs(trainium2=2e-3, trainium3=1e-3)
    ]
    assert weighed(claim(), records).finding == "no_records"


def test_the_command_says_what_was_measured_beside_the_arithmetic(claim, runs, tmp_path):
    claim(value=4)
    run = tmp_path / "run.jsonl"
    lines = [record.model_dump_json() for record in runs(trainium2=2e-3, trainium3=1e-3)]
    run.write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = ["claims", "--claims", str(tmp_path / "mine.toml"), "--runs", str(run)]

    told = CliRunner().invoke(app, arguments)
    (row,) = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)

    assert told.exit_code == 0, told.output
    assert "measured, it is not so: 3 cases that both ran, bf16: 2" in told.stdout
    assert row["measured"]["finding"] == "not_borne_out"
    assert row["measured"]["readings"][0]["cases"] == 3
    assert row["verdict"] == "consistent_at_other_level", "the arithmetic stands apart"


def test_without_records_the_command_names_the_devices_to_measure_on(claim, tmp_path):
    claim(value=4)
    arguments = ["claims", "--claims", str(tmp_path / "mine.toml")]

    told = CliRunner().invoke(app, arguments)
    (row,) = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)

    assert "to measure on trainium3 and on trainium2: matmul" in " ".join(told.stdout.split())
    assert (row["measure_on"], row["measured"]) == (["trainium3", "trainium2"], None)


def test_a_price_without_records_is_refused(tmp_path):
    done = CliRunner().invoke(app, ["claims", "--price", "trainium2=2"])
    assert "--price given without --runs" in str(done.exception)


def test_a_price_of_what_no_record_names_is_refused(claim, runs, tmp_path):
    claim(value=4)
    records = runs(trainium2=2e-3, trainium3=1e-3)
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(f"{record.model_dump_json()}\n" for record in records))
    arguments = ["claims", "--claims", str(tmp_path / "mine.toml"), "--runs", str(path), "--json"]

    priced = CliRunner().invoke(app, [*arguments, "--price", "trainium2=2"])
    wrong = CliRunner().invoke(app, [*arguments, "--price", "trainium4=2"])

    assert priced.exit_code == 0
    assert "unknown name of --price 'trainium4'; known: " in str(wrong.exception)
    assert "Did you mean 'trainium" in str(wrong.exception)


def test_a_metric_that_isnt_one_is_refused(claim):
    with pytest.raises(Exception, match="field 'metric': 'haste'; wanted one of speed, perf"):
        claim(metric="haste")


def test_published_measurements_of_two_chips_settle_what_they_can():
    if not PUBLISHED.is_dir():
        pytest.skip("needs shared/published beside the checkout")
    files = [str(PUBLISHED / name) for name in ("published.csv", "neuron_core_v2.csv")]
    arguments = ["claims", "s001-perf-2x", "--json"]
    for file in files:
        arguments += ["--runs", file]
    (row,) = json.loads(CliRunner().invoke(app, arguments).stdout)

    (best,) = row["measured"]["readings"]
    assert row["measured"]["finding"] == "not_borne_out"
    assert best["value"] == pytest.approx(590.1 / 157.2, rel=1e-3)
    assert all(origin.startswith("published: ") for origin in row["measured"]["origins"])
