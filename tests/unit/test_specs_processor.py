"""Peaks of CPUs: the microarchitectures, what is unknown, and the machine that lies."""

from __future__ import annotations

import copy
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from trnbench.specs.figure import CatalogError
from trnbench.specs.microarchitecture import check_table, recognise
from trnbench.specs.processor import CpuFacts, cpu_peaks

AVX2 = frozenset({"sse4_2", "avx", "fma", "avx2", "f16c"})
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512vl"}
VNNI = AVX512 | {"avx512_vnni"}
BF16 = VNNI | {"avx512_bf16"}
SAPPHIRE = BF16 | {"avx_vnni", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8"}
N1 = frozenset({"fp", "asimd", "fphp", "asimdhp", "asimddp"})
V1 = N1 | {"sve", "bf16", "i8mm", "svebf16", "svei8mm"}

KEYS = {f"{kind}{dtype}" for kind in ("", "vector_") for dtype in ("fp32", "bf16", "fp16", "int8")}


def x86(vendor, family, model, flags, **changes):
    vendor = {"intel": "GenuineIntel", "amd": "AuthenticAMD"}.get(vendor, vendor)
    facts = CpuFacts(vendor, family, model, "a CPU", frozenset(flags), "x86_64", 4, virtual=False)
    return replace(facts, **changes)


def arm(part, flags, implementer=0x41):
    return CpuFacts("", None, None, "", frozenset(flags), "aarch64", 4, None, implementer, part)


def per_cycle(facts):
    peaks = cpu_peaks(facts, 1, 1e9)
    assert peaks.keys() == KEYS
    return {key: peak.flop_per_cycle_per_core for key, peak in peaks.items()}


#: name, facts, FLOP per cycle of a core: fp32, bf16, fp16, int8, elementwise fp32
CORES = [
    ("Haswell", x86("intel", 6, 0x3F, AVX2), 32, 32, 32, 128, 32),
    ("Broadwell", x86("intel", 6, 0x4F, AVX2), 32, 32, 32, 128, 32),
    ("Skylake client", x86("intel", 6, 0x5E, AVX2), 32, 32, 32, 128, 32),
    ("Skylake-X", x86("intel", 6, 0x55, AVX512), 64, 64, 64, 256, 64),
    ("Skylake-X without AVX-512", x86("intel", 6, 0x55, AVX2), 32, 32, 32, 128, 32),
    ("Cooper Lake", x86("intel", 6, 0x55, BF16), 64, 128, 64, 256, 64),
    ("Rocket Lake", x86("intel", 6, 0xA7, VNNI), 32, 32, 32, 128, 32),
    ("Ice Lake server", x86("intel", 6, 0x6A, VNNI), 64, 64, 64, 256, 64),
    ("Alder Lake", x86("intel", 6, 0x97, AVX2 | {"avx_vnni"}), 32, 32, 32, 128, 40),
    ("Sapphire Rapids", x86("intel", 6, 0x8F, SAPPHIRE), 64, 1024, 128, 2048, 64),
    ("Emerald Rapids", x86("intel", 6, 0xCF, SAPPHIRE), 64, 1024, 128, 2048, 64),
    ("Granite Rapids", x86("intel", 6, 0xAD, SAPPHIRE), 64, 1024, 1024, 2048, 64),
    ("Zen", x86("amd", 0x17, 0x01, AVX2), 16, 16, 16, 64, 24),
    ("Zen 2", x86("amd", 0x17, 0x31, AVX2), 32, 32, 32, 128, 48),
    ("Zen 3", x86("amd", 0x19, 0x01, AVX2), 32, 32, 32, 128, 48),
    ("Zen 4 Genoa", x86("amd", 0x19, 0x11, BF16), 32, 64, 32, 128, 48),
    ("Zen 4 Bergamo", x86("amd", 0x19, 0xA0, BF16), 32, 64, 32, 128, 48),
    ("Zen 5 Turin", x86("amd", 0x1A, 0x02, BF16 | {"avx_vnni"}), 64, 128, 64, 256, 96),
    ("Neoverse N1 (Graviton 2)", arm(0xD0C, N1), 16, 16, 32, 64, 16),
    ("Neoverse V1 (Graviton 3)", arm(0xD40, V1), 32, 128, 64, 256, 32),
    ("Neoverse N2", arm(0xD49, V1), 16, 64, 32, 128, 16),
    ("Neoverse V2 (Graviton 4)", arm(0xD4F, V1), 32, 128, 64, 256, 32),
]


@pytest.mark.parametrize(
    ("facts", "fp32", "bf16", "fp16", "int8", "vector"),
    [row[1:] for row in CORES],
    ids=[row[0] for row in CORES],
)
def test_operations_per_cycle(facts, fp32, bf16, fp16, int8, vector):
    found = per_cycle(facts)

    assert {key: found[key] for key in ("fp32", "bf16", "fp16", "int8", "vector_fp32")} == {
        "fp32": fp32,
        "bf16": bf16,
        "fp16": fp16,
        "int8": int8,
        "vector_fp32": vector,
    }


def test_zen_4_with_avx_512_is_double_pumped():
    assert per_cycle(x86("amd", 0x19, 0x11, BF16))["fp32"] == 32


def test_a_peak_is_cycles_times_cores_times_clock_with_each_step_shown():
    peak = cpu_peaks(x86("intel", 6, 0x8F, SAPPHIRE), 2, 3.31e9)["fp32"]

    assert peak.flops_per_s == pytest.approx(64 * 2 * 3.31e9, rel=1e-12)
    for step in (
        "2 FMA ports",
        "16 lanes",
        "64 FLOP/cycle",
        "2 cores",
        "3.31 GHz",
        "423.7 GFLOP/s",
    ):
        assert step in peak.steps


def test_amx_counts_a_tile_every_sixteen_cycles():
    peaks = cpu_peaks(x86("intel", 6, 0x8F, SAPPHIRE), 1, 2e9)

    assert peaks["bf16"].flops_per_s == 16 * 16 * 32 * 2 / 16 * 2e9
    assert peaks["int8"].flops_per_s == 16 * 16 * 64 * 2 / 16 * 2e9


def test_amx_that_the_hypervisor_hides_is_not_counted():
    found = per_cycle(x86("intel", 6, 0x8F, BF16 | {"avx512_fp16", "avx_vnni"}))

    assert (found["bf16"], found["fp16"], found["int8"]) == (128, 128, 256)


def test_elementwise_half_precision_is_twice_as_wide_only_where_it_exists():
    assert per_cycle(x86("intel", 6, 0x8F, SAPPHIRE))["vector_fp16"] == 128
    assert per_cycle(x86("intel", 6, 0x6A, VNNI))["vector_fp16"] == 64
    assert per_cycle(arm(0xD40, V1))["vector_fp16"] == 64


def test_a_dtype_that_the_core_lacks_has_the_fp32_rate_and_says_so():
    peaks = cpu_peaks(x86("intel", 6, 0x3F, AVX2), 1, 3e9)

    assert peaks["bf16"].flops_per_s == peaks["fp32"].flops_per_s
    assert "no bf16 instructions" in peaks["bf16"].reason
    assert "no fp16 arithmetic" in peaks["fp16"].reason


def test_variants_that_are_slower_are_named():
    assert "one 512-bit port" in cpu_peaks(x86("intel", 6, 0x55, AVX512), 1, 3e9)["fp32"].reason


# ------------------------------------------------------------------ a machine that lies

LYING = x86("intel", 6, 167, SAPPHIRE, virtual=True, physical_cores=2)


def test_flags_decide_where_they_contradict_the_model():
    peaks = cpu_peaks(LYING, 2, 3.31e9)

    assert peaks["fp32"].flop_per_cycle_per_core == 64  # Rocket Lake: 32
    assert peaks["bf16"].flop_per_cycle_per_core == 1024
    assert peaks["int8"].flop_per_cycle_per_core == 2048
    assert "Rocket Lake" in peaks["fp32"].reason
    assert "amx_tile" in peaks["fp32"].reason
    assert "decided by the flags" in peaks["fp32"].reason


@pytest.mark.parametrize(("asked", "fp16"), [(None, 1024), (True, 1024), (False, 128)])
def test_amx_fp16_is_only_excluded_by_asking_the_cpu(asked, fp16):
    peak = cpu_peaks(replace(LYING, amx_fp16=asked), 2, 3e9)["fp16"]

    assert peak.flop_per_cycle_per_core == fp16
    assert ("can't be excluded" in peak.reason) == (asked is None)


def test_the_same_model_without_the_contradiction_is_believed():
    recognition = recognise(x86("intel", 6, 167, VNNI))

    assert "Rocket Lake" in recognition.core.name
    assert recognition.reason == ""


def test_fewer_flags_than_the_model_has_are_no_contradiction():
    assert recognise(x86("intel", 6, 0x8F, AVX2)).reason == ""


def test_a_contradiction_that_no_rule_decides_leaves_the_peak_unknown():
    peaks = cpu_peaks(x86("amd", 0x17, 0x31, BF16), 1, 3e9)

    assert peaks["fp32"].flops_per_s is None
    assert "Zen 2, which has no avx512_bf16, avx512_vnni, avx512f" in peaks["fp32"].reason
    assert "no rule" in peaks["fp32"].reason


# ------------------------------------------------------------------ unknown is null

UNKNOWN = [
    ("a model of the future", x86("intel", 6, 0xFE, SAPPHIRE), "model 254 isn't in"),
    ("another vendor", x86("CentaurHauls", 7, 59, AVX2), "CentaurHauls family 7"),
    ("Zen 6", x86("amd", 0x1A, 0x50, BF16), "family 26 model 80 isn't in"),
    ("no model", x86("intel", None, None, AVX2), "model None isn't in"),
    ("later AMX", x86("intel", 6, 0xAD, SAPPHIRE | {"amx_fp8"}), "amx_fp8"),
    ("AVX10.2 on a lying machine", x86("intel", 6, 167, SAPPHIRE | {"avx10_2"}), "avx10_2"),
    ("no FMA", x86("intel", 6, 0x3F, AVX2 - {"fma"}), "without fma"),
    ("Apple", arm(0x22, N1, implementer=0x61), "matrix unit"),
    ("Cortex-A72", arm(0xD08, {"asimd"}), "part 0xd08 isn't in"),
    ("an Arm core without a number", arm(None, N1), "no part number"),
    ("RISC-V", replace(arm(1, {"v"}), architecture="riscv64"), "'riscv64'"),
]


@pytest.mark.parametrize(
    ("facts", "reason"), [row[1:] for row in UNKNOWN], ids=[row[0] for row in UNKNOWN]
)
def test_unknown_is_null_with_the_reason(facts, reason):
    peaks = cpu_peaks(facts, 2, 3e9)

    assert peaks.keys() == KEYS
    for peak in peaks.values():
        assert peak.flops_per_s is None
        assert peak.flop_per_cycle_per_core is None
        assert reason in peak.reason


def test_without_a_measured_clock_there_is_a_rate_per_cycle_only():
    peak = cpu_peaks(x86("intel", 6, 0x8F, SAPPHIRE), 2, None)["fp32"]

    assert (peak.flops_per_s, peak.flop_per_cycle_per_core) == (None, 64)
    assert "no measured clock" in peak.reason


def test_elementwise_integers_are_unknown():
    peak = cpu_peaks(x86("intel", 6, 0x8F, SAPPHIRE), 1, 3e9)["vector_int8"]

    assert peak.flops_per_s is None
    assert peak.reason


@pytest.mark.parametrize(("cores", "clock_hz"), [(0, 3e9), (5, 3e9), (1, 0.0), (1, -1.0)])
def test_impossible_counts_and_clocks_are_refused(cores, clock_hz):
    with pytest.raises(ValueError, match="wanted"):
        cpu_peaks(x86("intel", 6, 0x8F, SAPPHIRE), cores, clock_hz)


# ------------------------------------------------------------------ facts and table


def test_facts_are_read_from_a_devices_plain_facts():
    facts = CpuFacts.from_facts(
        {
            "architecture": "aarch64",
            "vendor": "0x41",
            "part": "0xd40",
            "flags": "fp asimd asimdhp bf16",
            "physical_cores": 64,
            "virtual": None,
            "threads": 2,
        }
    )

    assert (facts.implementer, facts.part, facts.physical_cores) == (0x41, 0xD40, 64)
    assert facts.flags == {"fp", "asimd", "asimdhp", "bf16"}
    assert per_cycle(facts)["bf16"] == 128


@pytest.mark.parametrize("flags", ["fma avx2", ("fma", "avx2")])
def test_facts_of_an_x86_under_another_systems_name(flags):
    facts = CpuFacts.from_facts(
        {"architecture": "AMD64", "vendor": "AuthenticAMD", "family": 25, "model": 1}
        | {"flags": flags, "model_name": "EPYC", "virtual": True}
    )

    assert (facts.architecture, facts.implementer, facts.virtual) == ("x86_64", None, True)
    assert per_cycle(facts)["fp32"] == 32


def test_facts_that_are_missing_are_unknown():
    peaks = cpu_peaks(CpuFacts.from_facts({}), 1, 3e9)

    assert peaks["fp32"].flops_per_s is None


TABLE = tomllib.loads(
    (Path(__file__).parents[2] / "specs" / "processors.toml").read_text(encoding="utf-8")
)


def test_no_model_stands_for_two_cores():
    claimed = [
        (entry["vendor"], entry["family"], model)
        for entry in TABLE["core"]
        for numbers in entry.get("models", ())
        for model in (range(numbers[0], numbers[1] + 1) if isinstance(numbers, list) else [numbers])
    ] + [(entry["vendor"], part) for entry in TABLE["core"] for part in entry.get("parts", ())]
    assert len(claimed) > 100

    assert len(claimed) == len(set(claimed))


def test_every_source_of_the_table_is_used():
    used = {source for entry in TABLE["core"] for source in entry["sources"]}

    assert used == set(TABLE["source"])


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("core", "fma", {}),
        ("core", "fma", {"1024": 2}),
        ("core", "fma", {"512": 0}),
        ("core", "add", {"256": "two"}),
        ("core", "sources", ["hearsay"]),
        ("core", "sources", []),
        ("core", "name", 4),
        ("by_flags", "reason", None),
        ("unknown", "reason", None),
    ],
)
def test_a_broken_table_is_refused_by_core_and_field(kind, field, value):
    table = copy.deepcopy(TABLE)
    table[kind][0][field] = value

    with pytest.raises(CatalogError, match=rf"processors\.toml: {kind} .*field '{field}'"):
        check_table(table)
