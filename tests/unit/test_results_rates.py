"""Items per device, chip and dollar, and the table of models."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from trnbench.results.model_table import print_models, split_shares
from trnbench.results.rates import find_rates
from trnbench.results.record import FootprintData, RoofData, Status

MEMORY = FootprintData(weights=100, inputs=10, activations=20, peak=130)


def roof(ceiling="datasheet", **changes):
    facts = {
        "ceiling": ceiling,
        "floor_s": 1e-4,
        "bound": "tensor",
        "fraction": 0.1,
        "denominator": "made up",
        "mfu": 0.25,
        "mfu_denominator": "667 TFLOP/s x 0.25",
    }
    return RoofData(**facts | changes)


@pytest.fixture
def record(make):
    def build(phase="prefill", *, device=None, **changes):
        facts = {
            "cost": make.cost(items=200, items_padded=56, item_unit="tokens", headline="items"),
            "roofs": [roof()],
            "footprint": MEMORY,
            "device": make.device(**(device or {})),
        }
        case = make.case(
            workload="decoder", configuration=f"llama-tiny-{phase}-2x128", params={}, phase=phase
        )
        return make.record(case, medians=(1e-3,) * 3, **facts | changes)

    return build


TRN2 = {"chip": "trainium2", "share": 0.25, "facts": {"instance_type": "trn2.48xlarge"}}


def printed(records, width=160):
    stream = io.StringIO()
    print_models(records, Console(file=stream, width=width, force_terminal=False))
    return stream.getvalue()


def test_a_chip_does_what_all_its_devices_would(record):
    rates = find_rates(record(device=TRN2))

    assert rates.per_device == pytest.approx(200_000)
    assert rates.per_chip == pytest.approx(800_000)
    # 2.235 USD buy an hour of the chip.
    assert rates.per_usd == pytest.approx(800_000 * 3600 / 2.235)
    assert rates.price.instance == "trn2.48xlarge"
    assert rates.unit == "tokens"


def test_a_case_on_several_devices_is_counted_by_device(make, record):
    two = record(device=TRN2)
    two = two.model_copy(update={"case": two.case.model_copy(update={"devices": 2})})

    assert find_rates(two).per_device == pytest.approx(100_000)


def test_what_is_padded_is_no_item(record):
    assert find_rates(record()).padding == pytest.approx(56 / 256)


def test_without_a_chip_there_is_no_price(record):
    rates = find_rates(record())

    assert (rates.per_chip, rates.per_usd, rates.price) == (None, None, None)
    assert find_rates(record(device={"chip": "trainium4", "share": 0.5})).per_usd is None


@pytest.mark.parametrize(
    ("phase", "latency"),
    [("prefill", "TTFT"), ("decode", "TPOT"), ("training", "step"), ("forward", "call")],
)
def test_a_latency_has_its_name(record, phase, latency):
    assert find_rates(record(phase)).latency == latency


def test_what_has_no_result_or_cost_has_no_rates(record):
    assert find_rates(record(status=Status.NUMERIC_MISMATCH)) is None
    assert find_rates(record().model_copy(update={"cost": None})) is None


def test_a_table_of_models_names_units_and_denominators(record):
    text = printed([record(device=TRN2), record("decode", device=TRN2)])

    assert "decoder llama-tiny-prefill-2x128" in text
    assert "1.00 ms TTFT" in text
    assert "1.00 ms TPOT" in text
    assert "200 k tokens/s" in text
    assert "800 k tokens/s" in text
    assert "MFU: model FLOPs over the datasheet rate of 667 TFLOP/s x 0.25 (fp32)" in text
    assert "per USD: 2.235 USD a chip hour: trn2.48xlarge" in text
    assert "130 B" in text
    assert "22 %" in text
    assert "TTFT: time to the first token" in text


def test_mfu_is_against_the_datasheet_where_it_is_known(record):
    both = record(roofs=[roof("attained", mfu=0.9), roof("derived", mfu=0.5)])
    unknown = record(roofs=[roof(mfu=None, mfu_denominator="")])

    assert "MFU: model FLOPs over the derived rate" in printed([both])
    assert "50 %" in printed([both])
    assert "MFU" not in printed([unknown])


def test_mfu_is_against_the_attained_only_where_nothing_else_is_known(record):
    both = record(roofs=[roof("derived", mfu=0.4), roof("attained", mfu=0.8)])
    alone = record(roofs=[roof("attained", mfu=0.9)])

    assert "over the derived rate" in printed([both, alone, alone])
    assert "over the attained rate" in printed([alone])


def test_hfu_stands_where_work_is_done_twice(make, record):
    twice = record(
        "training", cost=make.cost(items=5, flops_recomputed=7), roofs=[roof(mfu=0.3, hfu=0.4)]
    )
    text = printed([twice])

    assert "HFU: with the work that is done twice" in text
    assert "40 %" in text
    assert "HFU" not in printed([record()])


def test_operators_have_no_table_of_their_own(make):
    assert printed([make.record()]) == ""


def test_a_step_is_split_by_the_medians_of_each_process(make, record):
    splits = [
        {"forward": [10, 20, 900], "backward": [30] * 3, "optimizer": [50] * 3},
        {"forward": [20] * 3, "backward": [30] * 3, "optimizer": [50] * 3},
    ]
    step = record("training").model_copy(
        update={"processes": [make.outcome(n, split_ns=split) for n, split in enumerate(splits)]}
    )

    assert split_shares(step) == {"forward": 0.2, "backward": 0.3, "optimizer": 0.5}
    assert "20/30/0/50" in printed([step])
    assert "split: percent of a step for forward / backward / clip / optimizer" in printed([step])


def test_the_host_of_a_cpu_says_nothing_of_a_models_memory(make, record):
    seen = [make.outcome(0, peak_memory_bytes=2 * 10**9)]
    on_cpu = record().model_copy(update={"processes": seen})
    case = on_cpu.case.model_copy(update={"backend": "cuda"})
    on_gpu = on_cpu.model_copy(update={"case": case})

    assert "2.00 GB" not in printed([on_cpu])
    assert "2.00 GB" in printed([on_gpu])


def test_a_column_that_was_dropped_is_not_explained(record):
    assert "memory: of tensors" in printed([record()])
    narrow = printed([record()], width=60)
    assert "memory:" not in narrow
    assert "no room for:" in narrow


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_table_of_models_fits(record, width):
    lines = printed([record(device=TRN2)], width).splitlines()
    table = lines[: next(n for n, line in enumerate(lines) if line.startswith("TTFT:"))]

    assert max(len(line.rstrip()) for line in table) <= width
