"""Roofline arithmetic by hand-worked examples, and when the answer is null."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trnbench.specs.attained import (
    AttainedBandwidth,
    AttainedCeiling,
    AttainedMatmul,
    CacheSize,
)
from trnbench.specs.catalog import load_catalog
from trnbench.specs.cost import Cost
from trnbench.specs.processor import CpuFacts, cpu_peaks
from trnbench.specs.roofline import Level, Rate, Roof, expected_ratio, floor, level_of
from trnbench.specs.roofs import roof_of_attained, roof_of_chip, roof_of_cpu

GB = 10**9
MIB = 2**20


def a_cost(flops=0, moved=0, useful=None, working_set=None, **more):
    useful = moved if useful is None else useful
    return Cost(
        flops=flops,
        flops_counted=flops,
        bytes_moved=moved,
        bytes_useful=useful,
        working_set_bytes=moved if working_set is None else working_set,
        items=1,
        item_unit="calls",
        headline="flops",
        convention="by hand",
        source="by hand",
        **more,
    )


def a_roof(tensor=1e12, vector=1e11, scalar=1e10, memory=1e11, **more):
    def rate(value, name):
        return Rate(value, f"{name} rate", "" if value else f"{name} isn't published")

    levels = (Level("DRAM", None, memory, "DRAM rate", "" if memory else "DRAM can't be read"),)
    return Roof(
        **{
            "ceiling": "datasheet",
            "engines": {
                "tensor": rate(tensor, "tensor"),
                "vector": rate(vector, "vector"),
                "scalar": rate(scalar, "scalar"),
            },
            "memory": levels,
            "retained_bytes": 0.0,
        }
        | more
    )


# ------------------------------------------------------------------ the longest part binds


@pytest.mark.parametrize(
    ("cost", "seconds", "bound"),
    [
        (a_cost(flops=2 * 10**12, moved=10**9), 2.0, "tensor"),
        (a_cost(flops=10**9, moved=5 * 10**11), 5.0, "DRAM"),
        (a_cost(vector_flops=3 * 10**11, moved=10**9), 3.0, "vector"),
        (a_cost(scalar_flops=4 * 10**10, vector_flops=10**9, moved=10**9), 4.0, "scalar"),
    ],
)
def test_the_longest_part_is_the_floor_and_names_what_binds(cost, seconds, bound):
    found = floor(cost, a_roof())

    assert found.seconds == pytest.approx(seconds, rel=1e-12)
    assert found.bound == bound
    assert found.denominator == f"{bound} rate"
    assert found.reason == ""


def test_the_fixed_cost_is_added_and_binds_only_where_it_is_the_largest():
    small, large = a_cost(moved=10**5), a_cost(moved=10**7)
    roof = a_roof(fixed_s=1e-5)

    assert floor(small, roof).seconds == pytest.approx(1.1e-5)
    assert floor(small, roof).bound == "dispatch"
    assert "10 us" in floor(small, roof).denominator
    assert floor(large, roof).seconds == pytest.approx(1.1e-4)
    assert floor(large, roof).bound == "DRAM"


def test_fused_operators_move_what_is_useful_only():
    cost = a_cost(moved=4 * 10**11, useful=10**11)

    assert floor(cost, a_roof()).seconds == pytest.approx(4.0)
    assert floor(cost, a_roof(), fused=True).seconds == pytest.approx(1.0)


def test_the_smallest_level_that_holds_the_working_set_counts():
    levels = (
        Level("L2", 2 * MIB, 8e11),
        Level("L3", 32 * MIB, 4e11),
        Level("DRAM", None, 1e11),
    )
    roof = replace(a_roof(), memory=levels)

    assert floor(a_cost(moved=2 * MIB), roof).bound == "L2"
    assert floor(a_cost(moved=2 * MIB + 1), roof).bound == "L3"
    assert floor(a_cost(moved=32 * MIB + 1), roof).bound == "DRAM"
    assert floor(a_cost(moved=MIB, working_set=64 * MIB), roof).seconds == MIB / 1e11


def test_a_roof_without_a_last_level_is_a_mistake():
    roof = replace(a_roof(), memory=(Level("L2", MIB, 1e11),))

    with pytest.raises(ValueError, match="no memory level"):
        level_of(roof, 2 * MIB)


# ------------------------------------------------------------------ null rules


def test_unknown_bandwidth_leaves_matrix_work_a_floor_of_its_engines():
    found = floor(a_cost(flops=10**12, moved=10**9), a_roof(memory=None))

    assert found.seconds == pytest.approx(1.0)
    assert found.bound == "tensor"
    assert "DRAM unknown: DRAM can't be read" in found.reason
    assert found.gate_seconds == pytest.approx(1.0)


def test_unknown_bandwidth_makes_other_work_null_but_still_gates():
    found = floor(a_cost(vector_flops=10**11, moved=10**9), a_roof(memory=None))

    assert (found.seconds, found.bound, found.denominator) == (None, None, "")
    assert "DRAM can't be read" in found.reason
    assert found.gate_seconds == pytest.approx(1.0)
    assert found.gate_denominator == "vector rate"


def test_unknown_matrix_rate_makes_matrix_work_null():
    found = floor(a_cost(flops=10**12, moved=10**10), a_roof(tensor=None))

    assert found.seconds is None
    assert "tensor isn't published" in found.reason
    assert found.gate_seconds == pytest.approx(0.1)


def test_unknown_vector_rate_is_left_out_and_named():
    found = floor(a_cost(vector_flops=10**12, moved=10**11), a_roof(vector=None))

    assert found.seconds == pytest.approx(1.0)
    assert found.bound == "DRAM"
    assert "vector isn't published" in found.reason


def test_work_between_devices_is_null_unless_there_is_matrix_work():
    collective = a_cost(moved=10**9, collective_bytes=10**9)
    both = a_cost(flops=10**12, moved=10**9, collective_bytes=10**9)

    assert floor(collective, a_roof()).seconds is None
    assert "fabric" in floor(collective, a_roof()).reason
    assert floor(both, a_roof()).seconds == pytest.approx(1.0)
    assert "fabric" in floor(both, a_roof()).reason


def test_no_work_has_no_floor():
    found = floor(a_cost(), a_roof(fixed_s=1e-6))

    assert found.seconds is None
    assert found.reason == "the case states no work"
    assert found.gate_seconds is None


def test_nothing_known_gates_nothing():
    roof = a_roof(tensor=None, vector=None, scalar=None, memory=None)

    assert floor(a_cost(flops=1, vector_flops=1, moved=1), roof).gate_seconds is None


# ------------------------------------------------------------------ the gate


def test_the_gate_asks_for_no_byte_that_fusion_repetition_or_a_cache_saves():
    roof = a_roof(retained_bytes=10.0 * GB)

    fused = a_cost(moved=400 * GB, useful=110 * GB, working_set=400 * GB)
    repeated = a_cost(moved=400 * GB, useful=400 * GB, working_set=60 * GB)
    cached = a_cost(moved=9 * GB)

    assert floor(fused, roof).gate_seconds == pytest.approx(1.0)
    assert floor(repeated, roof).gate_seconds == pytest.approx(0.5)
    assert floor(cached, roof).gate_seconds is None


def test_memory_gates_only_where_it_is_known_what_stays_on_the_chip():
    found = floor(a_cost(moved=100 * GB), a_roof(retained_bytes=None))

    assert found.seconds == pytest.approx(1.0)
    assert found.gate_seconds is None


def test_the_gate_never_asks_for_more_than_the_floor():
    costs = [
        a_cost(flops=10**11, vector_flops=10**9, moved=moved, useful=useful, working_set=held)
        for moved in (10**6, 10**9, 10**11)
        for useful in (moved // 2, moved)
        for held in (moved // 4, 2 * moved)
    ]
    assert costs
    for cost in costs:
        for retained in (0.0, 1e7, None):
            found = floor(cost, a_roof(retained_bytes=retained))
            assert found.gate_seconds is not None
            assert 0 < found.gate_seconds <= found.seconds


# ------------------------------------------------------------------ chips


def test_two_cores_of_trainium2_are_a_quarter_of_the_chip():
    chip = load_catalog().chip("trainium2")
    matmul = a_cost(flops=2 * 8192**3, moved=3 * 8192**2 * 2)

    datasheet = floor(matmul, roof_of_chip(chip, 0.25, "bf16", "datasheet"))
    engine = floor(matmul, roof_of_chip(chip, 0.25, "bf16", "engine"))

    assert datasheet.seconds == pytest.approx(2 * 8192**3 / (667e12 / 4), rel=1e-12)
    assert engine.seconds == pytest.approx(2 * 8192**3 / 158e12, rel=1e-12)
    assert (datasheet.bound, engine.bound) == ("tensor", "tensor")
    assert "79 TFLOP/s" in engine.denominator
    assert "2 cores" in engine.denominator
    assert "667 TFLOP/s" in datasheet.denominator
    assert "0.25" in datasheet.denominator


def test_the_engine_ceiling_carries_no_more_than_the_dma_engines_can():
    copy = a_cost(moved=GB)

    def rate(chip_id, share, ceiling):
        roof = roof_of_chip(load_catalog().chip(chip_id), share, "bf16", ceiling)
        return GB / floor(copy, roof).seconds

    assert rate("trainium1", 0.5, "datasheet") == pytest.approx(440e9)
    assert rate("trainium1", 0.5, "engine") == pytest.approx(272e9)
    assert rate("trainium3", 0.25, "engine") == pytest.approx(2 * 528e9)
    # Trainium2: 2 x 368 = 736 GB/s of DMA; the memory's 725 binds.
    assert rate("trainium2", 0.25, "engine") == pytest.approx(725e9)


def test_published_reads_of_a_trainium1_core_stay_under_its_engine_ceiling():
    """272.98 GB/s read, 274.82 GB/s written (published, 2026-09): within 5 % of 272."""
    roof = roof_of_chip(load_catalog().chip("trainium1"), 0.5, "bf16", "engine")
    size = 8_589_934_592
    gate_s = floor(a_cost(moved=size), roof).gate_seconds

    for measured_bytes_per_s in (272.98e9, 274.82e9):
        assert 0.9 < gate_s / (size / measured_bytes_per_s) < 1.05


def test_a_chip_without_engine_figures_has_no_engine_ceiling():
    assert roof_of_chip(load_catalog().chip("h100_sxm"), 1, "bf16", "engine") is None
    assert roof_of_chip(load_catalog().chip("inferentia1"), 0.25, "bf16", "engine") is None


def test_what_a_gpus_cache_holds_is_null_and_what_it_cannot_hold_is_not():
    roof = roof_of_chip(load_catalog().chip("h100_sxm"), 1, "bf16", "datasheet")

    inside, outside = floor(a_cost(moved=40 * MIB), roof), floor(a_cost(moved=GB), roof)

    assert inside.seconds is None
    assert "50 MiB L2" in inside.reason
    assert inside.gate_seconds is None
    assert outside.seconds == pytest.approx(GB / 3.35e12)
    assert outside.bound == "HBM"
    assert outside.gate_seconds == pytest.approx((GB - 50 * MIB) / 3.35e12)


def test_a_dtype_without_a_figure_is_null_with_the_reason():
    matmul = a_cost(flops=10**12, moved=GB)

    found = floor(matmul, roof_of_chip(load_catalog().chip("t4"), 1, "bf16", "datasheet"))

    assert found.seconds is None
    assert "no dense bf16 peak for t4" in found.reason


def test_sparse_peaks_are_never_a_roof():
    for chip in load_catalog().chips.values():
        for dtype, figure in chip.peak_dense.items():
            roof = roof_of_chip(chip, 1, dtype, "datasheet")
            assert roof.engines["tensor"].flops_per_s == figure.si


def test_the_vector_engine_is_known_in_fp32_only():
    chip = load_catalog().chip("trainium2")
    gelu = a_cost(vector_flops=10**12, moved=10**6)

    assert floor(gelu, roof_of_chip(chip, 0.25, "fp32", "engine")).seconds == pytest.approx(0.5)
    assert "fp32 only" in floor(gelu, roof_of_chip(chip, 0.25, "bf16", "engine")).reason


def test_memory_of_every_chip_has_a_name_and_a_rate():
    chips = load_catalog().chips.values()
    assert len(chips) >= 21
    for chip in chips:
        level = roof_of_chip(chip, 1, "bf16", "datasheet").memory[-1]
        assert level.name in {"HBM", "GDDR", "DRAM"}
        assert level.bytes_per_s == chip.figure("memory", "bandwidth").si


# ------------------------------------------------------------------ CPUs

FLAGS = frozenset({"fma", "avx2", "avx512f", "avx512_vnni"})
ICE_LAKE = CpuFacts("GenuineIntel", 6, 0x6A, "", FLAGS, "x86_64", 2, virtual=True)


def test_a_cpus_matmul_has_a_derived_floor_and_its_copy_has_none():
    roof = roof_of_cpu(cpu_peaks(ICE_LAKE, 2, 3e9), "fp32")

    matmul = floor(a_cost(flops=2 * 512**3, moved=3 * 512**2 * 4), roof)
    copy = floor(a_cost(moved=MIB), roof)

    assert roof.ceiling == "derived"
    assert matmul.seconds == pytest.approx(2 * 512**3 / (64 * 2 * 3e9), rel=1e-12)
    assert "64 FLOP/cycle" in matmul.denominator
    assert "384 GFLOP/s" in matmul.denominator
    assert matmul.gate_seconds == matmul.seconds
    assert copy.seconds is None
    assert "virtual machine" in copy.reason


def test_a_cpu_without_a_clock_has_no_roof_and_no_gate():
    found = floor(a_cost(flops=10**9, moved=1), roof_of_cpu(cpu_peaks(ICE_LAKE, 1, None), "fp32"))

    assert found.seconds is None
    assert "no measured clock" in found.reason
    assert found.gate_seconds is None


def test_a_dtype_that_no_peak_knows_is_null():
    found = floor(a_cost(flops=1, moved=1), roof_of_cpu(cpu_peaks(ICE_LAKE, 1, 3e9), "fp64"))

    assert found.seconds is None
    assert "fp64" in found.reason


# ------------------------------------------------------------------ attained


def a_ceiling(**changes):
    def point(size, read, copy, triad):
        return AttainedBandwidth(size, read, copy, triad)

    ceiling = AttainedCeiling(
        id="c1",
        time="2026-11-22T00:00:00Z",
        backend="cpu",
        device="a CPU",
        threads=2,
        torch="2.13.0",
        matmul={"fp32": AttainedMatmul(4e11, (1024, 1024, 1024))},
        bandwidth=(
            point(32 * 2**10, 9e11, 8e11, 7e11),
            point(MIB, 4e11, 5e11, None),
            point(3 * MIB, 4.5e11, 3e11, 3e11),
            point(16 * MIB, 2e11, 1e11, 1e11),
            point(256 * MIB, 2e10, 1.5e10, 1.8e10),
        ),
        dispatch_s=1e-6,
        clock_hz=3.3e9,
        machine="m",
        caches=(CacheSize("L1", 96 * 2**10), CacheSize("L2", 4 * MIB), CacheSize("L3", 105 * MIB)),
    )
    return replace(ceiling, **changes)


@pytest.mark.parametrize(
    ("size", "name", "bytes_per_s"),
    [
        (16 * 2**10, "L1", 9e11),
        (32 * 2**10, "L1", 9e11),
        (96 * 2**10, "L1", 9e11),  # the largest set measured in L1 stands for its rest
        (96 * 2**10 + 1, "L2", 5e11),
        (MIB, "L2", 5e11),
        (MIB + 1, "L2", 4.5e11),
        (4 * MIB, "L2", 4.5e11),
        (4 * MIB + 1, "L3", 2e11),
        (105 * MIB, "L3", 2e11),
        (105 * MIB + 1, "DRAM", 2e10),
        (10**12, "DRAM", 2e10),
    ],
)
def test_the_level_that_holds_the_working_set_gives_its_bandwidth(size, name, bytes_per_s):
    level = level_of(roof_of_attained(a_ceiling(), "fp32"), size)

    assert (level.name, level.bytes_per_s) == (name, bytes_per_s)
    assert name in level.words


def test_a_smaller_set_is_never_held_to_less_than_a_larger_one():
    slow = AttainedBandwidth(MIB, 1e11, None, None)
    points = tuple(sorted((*a_ceiling().bandwidth[2:], slow), key=lambda p: p.working_set_bytes))

    level = level_of(roof_of_attained(a_ceiling(bandwidth=points), "fp32"), MIB)

    assert level.bytes_per_s == 4.5e11
    assert "read of 3 MiB" in level.words


def test_an_attained_matmul_is_a_ceiling_with_dispatch_and_never_a_gate():
    roof = roof_of_attained(a_ceiling(), "fp32")
    found = floor(a_cost(flops=4 * 10**9, moved=MIB), roof)

    assert found.seconds == pytest.approx(0.01 + 1e-6)
    assert found.bound == "tensor"
    assert "1024x1024x1024" in found.denominator
    assert found.gate_seconds is None
    assert not roof.gates


def test_a_tiny_case_is_bound_by_dispatch():
    assert floor(a_cost(moved=64), roof_of_attained(a_ceiling(), "fp32")).bound == "dispatch"


def test_elementwise_work_is_held_to_attained_bandwidth_alone():
    cost = a_cost(moved=MIB, vector_flops=10**6, scalar_flops=10**6)

    found = floor(cost, roof_of_attained(a_ceiling(), "fp32"))

    assert found.seconds == pytest.approx(MIB / 5e11 + 1e-6)
    assert "vector unknown" in found.reason


def test_a_dtype_that_was_not_measured_is_null():
    found = floor(a_cost(flops=10**9, moved=MIB), roof_of_attained(a_ceiling(), "bf16"))

    assert found.seconds is None
    assert "no bf16 matmul in ceiling c1" in found.reason


def test_a_set_larger_than_any_measured_in_the_caches_is_null():
    inside = a_ceiling(bandwidth=a_ceiling().bandwidth[:4])
    roof = roof_of_attained(inside, "fp32")

    assert floor(a_cost(moved=100 * MIB), roof).bound == "L3"
    assert floor(a_cost(moved=200 * MIB), roof).seconds is None
    assert "no bandwidth" in floor(a_cost(moved=200 * MIB), roof).reason


def test_a_ceiling_without_bandwidth_or_dispatch_still_holds_matmuls():
    roof = roof_of_attained(a_ceiling(bandwidth=(), dispatch_s=None), "fp32")

    assert floor(a_cost(flops=4 * 10**11, moved=1), roof).seconds == pytest.approx(1.0)
    assert floor(a_cost(moved=1), roof).seconds is None


def test_without_caches_the_largest_set_stands_for_memory():
    roof = roof_of_attained(a_ceiling(caches=(), memory="HBM"), "fp32")

    assert level_of(roof, MIB).bytes_per_s == 5e11
    assert {level.name for level in roof.memory} == {"HBM"}
    assert level_of(roof, 10**12).bytes_per_s == 2e10


def test_a_ceiling_survives_its_json():
    ceiling = a_ceiling()

    assert AttainedCeiling.from_json(ceiling.to_json()) == ceiling


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('"flops_per_s": 400000000000.0', '"flops_per_s": "fast"', "matmul.fp32.flops_per_s"),
        ('"flops_per_s": 400000000000.0', '"flops_per_s": -1', "above 0"),
        ('"dispatch_s": 1e-06', '"dispatch_s": 0', "dispatch_s"),
        ('"dispatch_s": 1e-06', f'"dispatch_s": 1{"0" * 400}', "dispatch_s: 10+; wanted a finite"),
        ('"dispatch_s": 1e-06', '"dispatch_s": NaN', "dispatch_s: nan"),
        ('"working_set_bytes": 1048576', '"working_set_bytes": null', "working_set_bytes"),
        ('"read_bytes_per_s": 900000000000.0', '"read_bytes_per_s": true', "32768"),
        ('"machine": "m"', '"machines": "m"', "unknown fields: machines"),
        ('"machine": "m", ', "", "lacks fields: machine"),
    ],
)
def test_a_broken_ceiling_is_refused_by_field(old, new, wanted):
    text = a_ceiling().to_json()
    assert old in text

    with pytest.raises(ValueError, match=wanted):
        AttainedCeiling.from_json(text.replace(old, new, 1))


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_a_ceiling_that_is_no_object_is_refused(text):
    with pytest.raises(ValueError, match="wanted a JSON object"):
        AttainedCeiling.from_json(text)


# ------------------------------------------------------------------ two roofs


def test_the_expected_ratio_is_the_time_of_b_over_the_time_of_a():
    cost = a_cost(flops=10**12, moved=1)

    assert expected_ratio(cost, a_roof(tensor=1e12), cost, a_roof(tensor=4e12)) == pytest.approx(
        0.25
    )
    assert expected_ratio(cost, a_roof(tensor=1e12), cost, a_roof(tensor=None)) is None
    assert expected_ratio(cost, a_roof(tensor=None), cost, a_roof(tensor=1e12)) is None


def test_trainium2_is_expected_to_beat_trainium1_by_their_figures():
    matmul = a_cost(flops=2 * 8192**3, moved=3 * 8192**2 * 2)
    catalog = load_catalog()
    one = roof_of_chip(catalog.chip("trainium1"), 0.5, "bf16", "engine")
    two = roof_of_chip(catalog.chip("trainium2"), 0.25, "bf16", "engine")

    assert expected_ratio(matmul, one, matmul, two) == pytest.approx(92 / 158, rel=1e-12)
