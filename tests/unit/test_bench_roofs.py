"""A case held against its ceilings, and the gate of physics."""

from __future__ import annotations

import pytest

from trnbench.bench.roofs import attained_roof, catalog_roofs, cpu_roofs, identified
from trnbench.results.record import CostData, Device
from trnbench.specs.attained import AttainedBandwidth, AttainedCeiling, AttainedMatmul
from trnbench.specs.catalog import load_catalog

H100_BF16 = 989e12
N = 8192


def device(name: str, memory_bytes: int | None, **facts) -> Device:
    return Device(
        name=name,
        chip=None,
        chip_reason="not asked yet",
        share=None,
        index=0,
        cores_used=None,
        memory_bytes=memory_bytes,
        driver=None,
        facts=facts,
    )


def matmul(n: int = N, itemsize: int = 2) -> CostData:
    return CostData(
        flops=2 * n**3,
        flops_counted=2 * n**3,
        bytes_moved=3 * n * n * itemsize,
        bytes_useful=3 * n * n * itemsize,
        working_set_bytes=3 * n * n * itemsize,
        items=1,
        item_unit="calls",
        headline="flops",
        convention="",
        source="",
    )


@pytest.mark.parametrize(
    ("name", "memory_bytes", "chip", "share"),
    [
        ("NVIDIA H100 80GB HBM3", 85_000_000_000, "h100_sxm", 1.0),
        ("Tesla T4", 15_800_000_000, "t4", 1.0),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 5_000_000_000, None, None),
        ("NVIDIA GeForce RTX 4090", 25_000_000_000, None, None),
    ],
)
def test_a_device_is_found_in_the_catalog_by_its_whole_name(name, memory_bytes, chip, share):
    found = identified(device(name, memory_bytes), load_catalog())

    assert (found.chip, found.share) == (chip, share)
    assert (found.chip_reason == "") == (chip is not None)


def test_a_cpu_is_left_to_its_own_facts():
    cpu = device("NVIDIA H100 80GB HBM3", 1, architecture="x86_64")

    assert identified(cpu, load_catalog()) is cpu


def test_the_fraction_is_of_the_share_of_the_chip_that_was_used():
    whole = identified(device("NVIDIA H100 80GB HBM3", 85_000_000_000), load_catalog())
    half = whole.model_copy(update={"share": 0.5})
    call_s = 2 * matmul().flops / H100_BF16

    assert catalog_roofs(matmul(), whole, "bf16", call_s, load_catalog()).roofs[
        0
    ].fraction == pytest.approx(0.5)
    assert catalog_roofs(matmul(), half, "bf16", call_s, load_catalog()).roofs[
        0
    ].fraction == pytest.approx(1.0)


@pytest.mark.parametrize(("speed", "passes"), [(1.04, False), (1.06, True)])
def test_more_than_105_percent_of_a_datasheet_is_above_the_roof(speed, passes):
    h100 = identified(device("NVIDIA H100 80GB HBM3", 85_000_000_000), load_catalog())
    call_s = matmul().flops / H100_BF16 / speed

    held = catalog_roofs(matmul(), h100, "bf16", call_s, load_catalog())

    assert (held.above is not None) == passes
    assert held.roofs[0].ceiling == "datasheet"
    if passes:
        assert "1.06 times the datasheet ceiling" in held.above


def test_an_unknown_device_has_no_fraction_and_is_never_above():
    unknown = identified(device("NVIDIA GeForce RTX 4090", 25_000_000_000), load_catalog())

    held = catalog_roofs(matmul(), unknown, "bf16", 1e-9, load_catalog())

    assert held.above is None
    assert [(r.fraction, bool(r.reason)) for r in held.roofs] == [(None, True)]


def test_a_cpu_without_a_measured_clock_has_no_roof_and_is_never_above():
    zen4 = device(
        "AMD EPYC 9R14",
        2**36,
        architecture="x86_64",
        vendor="AuthenticAMD",
        family=25,
        model=17,
        flags="fma avx2 avx512f avx512bw avx512dq avx512vl avx512_bf16 avx512_vnni",
        physical_cores=1,
        virtual=True,
    ).model_copy(update={"cores_used": 1})

    without = cpu_roofs(matmul(512, 4), zen4, "fp32", 1e-9, None)
    # 32 FLOP a cycle on Zen 4: 2 * 512^3 take at least 2.26 ms at 3.7 GHz.
    fine = cpu_roofs(matmul(512, 4), zen4, "fp32", 2.5e-3, 3.7e9)
    above = cpu_roofs(matmul(512, 4), zen4, "fp32", 2.0e-3, 3.7e9)

    assert (without.roofs[0].fraction, without.above) == (None, None)
    assert fine.roofs[0].fraction == pytest.approx(2 * 512**3 / (32 * 3.7e9) / 2.5e-3)
    assert fine.above is None
    assert above.above is not None


def test_a_cpu_that_does_not_say_how_many_cores_it_has_is_not_held_against_one():
    unknown = device("somebody's processor", 2**36, architecture="aarch64", physical_cores=None)

    held = cpu_roofs(matmul(512, 4), unknown, "fp32", 1e-9, 3e9)

    assert (held.above, held.roofs[0].fraction) == (None, None)
    assert "cores" in held.roofs[0].reason


def ceiling() -> AttainedCeiling:
    return AttainedCeiling(
        id="c",
        time="2026-11-22T00:00:00+00:00",
        backend="cpu",
        device="x",
        threads=1,
        torch="2.13.0",
        matmul={"fp32": AttainedMatmul(flops_per_s=100e9, shape=(512, 512, 512))},
        bandwidth=(AttainedBandwidth(10**9, 10e9, 10e9, 10e9),),
        dispatch_s=1e-6,
        clock_hz=None,
        machine="m",
    )


@pytest.mark.parametrize(("speed", "stale"), [(1.04, False), (1.07, True)])
def test_an_attained_ceiling_goes_stale_and_never_gates(speed, stale):
    call_s = matmul(512, 4).flops / 100e9 / speed

    held = attained_roof(matmul(512, 4), "fp32", call_s, ceiling())

    assert held.stale == stale
    assert held.above is None
    assert held.roofs[0].fraction == pytest.approx(speed, rel=0.01)


def test_without_a_stored_ceiling_the_attained_fraction_is_null_with_the_mend():
    held = attained_roof(matmul(512, 4), "fp32", 1.0, None, "measure one with: trnbench ceiling")

    assert held.roofs[0].fraction is None
    assert "trnbench ceiling" in held.roofs[0].reason


def test_mfu_is_the_models_work_over_the_matrix_rate():
    h100 = identified(device("NVIDIA H100 80GB HBM3", 85_000_000_000), load_catalog())
    work = matmul()
    twice = work.model_copy(update={"flops_recomputed": work.flops // 2})
    call_s = 4 * work.flops / H100_BF16

    (once, *_), (again, *_) = (
        catalog_roofs(cost, h100, "bf16", call_s, load_catalog()).roofs for cost in (work, twice)
    )

    assert (once.mfu, once.hfu) == (pytest.approx(0.25), None)
    assert (again.mfu, again.hfu) == (pytest.approx(0.25), pytest.approx(0.375))
    assert "989" in once.mfu_denominator


def test_what_multiplies_nothing_has_no_mfu():
    h100 = identified(device("NVIDIA H100 80GB HBM3", 85_000_000_000), load_catalog())
    copy = matmul().model_copy(update={"flops": 0, "headline": "bytes"})

    (roof, *_) = catalog_roofs(copy, h100, "bf16", 1.0, load_catalog()).roofs

    assert (roof.mfu, roof.hfu, roof.mfu_denominator) == (None, None, "")
