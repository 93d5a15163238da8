"""The catalog's lint: nothing found in the catalog, and each planted fault found, alone."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from pathlib import Path

import pytest

from trnbench.specs.lint import lint

SPECS = Path(__file__).parents[2] / "specs"


@pytest.fixture
def copy(tmp_path):
    """A directory with the catalog's files, to break."""
    shutil.copytree(SPECS / "chips", tmp_path / "chips")
    for name in ("sources.toml", "instances.toml", "claims.toml"):
        shutil.copy(SPECS / name, tmp_path)
    return tmp_path


def plant(folder, file, section, old, new):
    """Replace ``old`` by ``new`` once, after the line ``section`` (the file's head without)."""
    path = folder / file
    text = path.read_text(encoding="utf-8")
    at = text.index(section) if section else 0
    assert old in text[at:], (file, section, old)
    path.write_text(text[:at] + text[at:].replace(old, new, 1), encoding="utf-8")


def test_nothing_is_found_in_the_catalog():
    assert [finding.words for finding in lint()] == []


#: (what, file, after, old, new, field, rule, part of given, part of wanted)
FAULTS = [
    ("sparse as dense", "chips/h100_sxm.toml", "[peak_dense]", "bf16 = { value = 989,", "bf16 = { value = 1979,",
     "peak_dense.bf16", "peaks|sparsity", "1979 TFLOP/s", ""),
    ("sparse int8 as dense", "chips/h200_sxm.toml", "[peak_dense]", "int8 = { value = 1979,", "int8 = { value = 3958,",
     "peak_dense.int8", "peaks|sparsity", "3958 TOP/s", "1.7 to 4.3"),
    ("another chip's figure", "chips/trainium2.toml", "[peak_dense]", "bf16 = { value = 667,", "bf16 = { value = 989,",
     "peak_dense.bf16", "wrong-chip", "what 'h", "64 chips"),
    ("GB for GiB", "chips/trainium2.toml", "[memory]", 'value = 96, unit = "GiB"', 'value = 96, unit = "GB"',
     "memory.capacity", "binary-unit", "96 GB (GB where the other figure has GiB)", "6144 GiB"),
    ("MB for MiB", "chips/trainium2.toml", "[onchip]", 'value = 28, unit = "MiB"', 'value = 28, unit = "MB"',
     "onchip.sbuf_per_core", "binary-unit", "MB where the other figure has MiB", "224 MiB"),
    ("GB for MiB", "chips/h100_sxm.toml", "[onchip]", 'value = 50, unit = "MiB"', 'value = 50, unit = "GB"',
     "onchip.l2", "onchip", "50 GB beside 80 GB", "in MiB"),
    ("no source", "chips/h100_sxm.toml", "[memory]", 'source = "stas_acc", ', "",
     "memory.capacity.source", "form", "nothing", "text"),
    ("unknown source", "chips/h100_sxm.toml", "[memory]", '"stas_acc"', '"hearsay"',
     "memory.capacity.source", "form", "'hearsay'", "sources.toml"),
    ("no date", "chips/h100_sxm.toml", "[memory]", 'date = "2026-08-11", ', "",
     "memory.capacity.date", "form", "nothing", "text"),
    ("aggregate of an UltraServer", "instances.toml", 'id = "trn2_ultraserver"', "bf16 = { value = 42.8,", "bf16 = { value = 48.2,",
     "ultraserver.trn2_ultraserver.bf16", "aggregate", "48.2 PFLOP/s", "64 x 667 TFLOP/s"),
    ("aggregate of an instance", "instances.toml", 'type = "trn2.48xlarge"', "memory_bandwidth = { value = 46.4,", "memory_bandwidth = { value = 56.4,",
     "instance.trn2.48xlarge.memory_bandwidth", "aggregate", "56.4 TB/s", "16 x 2.9 TB/s"),
    ("tensor engine of a core", "chips/trainium3.toml", "[tensor_engine_per_core]", "bf16 = { value = 79,", "bf16 = { value = 97,",
     "tensor_engine_per_core.bf16", "aggregate", "97 TFLOP/s", "8 x 671"),
    ("TF32 in fp32", "chips/a100_sxm_80gb.toml", "[peak_dense]", "fp32 = { value = 19.5,", "fp32 = { value = 156,",
     "peak_dense.fp32", "peaks", "as much as tf32", "TF32's"),
    ("superchip's memory for a GPU", "chips/gb200_gpu.toml", "[memory]", "value = 186,", "value = 372,",
     "memory.capacity", "package", "a superchip for one GPU", "72 GPUs"),
    ("superchip's peak for a GPU", "chips/gb200_gpu.toml", "[peak_sparse]", "fp8 = { value = 10000,", "fp8 = { value = 20000,",
     "peak_sparse.fp8", "package", "a superchip for one GPU", "72 GPUs"),
    ("fp8 beyond twice bf16", "chips/mi300x.toml", "[peak_dense]", "fp8 = { value = 2610,", "fp8 = { value = 5229,",
     "peak_dense.fp8", "peaks", "4 times bf16", "at most 2.1 times"),
    ("MXFP8's figure as fp8", "chips/trainium3.toml", "[peak_dense]", "fp8 = { value = 1264,", "fp8 = { value = 2517,",
     "peak_dense.fp8", "peaks", "3.75 times bf16", "mxfp8's, a format of its own"),
    ("bytes for bits", "chips/trainium3.toml", "[network]", 'unit = "Gbit/s"', 'unit = "GB/s"',
     "network.efa_per_chip", "bits", "200 GB/s", "12800 Gbit/s"),
    ("one direction as both", "chips/h100_sxm.toml", "[interconnect]", "per_chip_bidirectional = { value = 900,", "per_chip_bidirectional = { value = 450,",
     "interconnect.per_chip_bidirectional", "links", "1 times", "twice one direction"),
    ("no direction", "chips/trainium2.toml", "intra_instance", ', direction = "not stated"', "",
     "interconnect.intra_instance", "links", "without direction", "bidirectional"),
    ("no TDP and no word about it", "chips/trainium1.toml", "", "TDP", "clock",
     "power.tdp", "power", "nothing", "TDP"),
    ("implausible TDP", "chips/l4.toml", "[power]", "value = 72,", "value = 7.2,",
     "power.tdp", "power", "7.2 W", "20 to 5000 W"),
    ("price without a date", "instances.toml", "[[price]]", 'date = "2026-01-21"\n', "",
     "price.1.date", "form", "None", "text"),
    ("price without a region", "instances.toml", "[[price]]", 'region = "us-east-1"\n', "",
     "price.1.region", "form", "None", "text"),
    ("price of a chip", "instances.toml", "usd_per_hour = 21.5", "usd_per_chip_hour = 1.3438", "usd_per_chip_hour = 13.438",
     "price.2.trn1.32xlarge.usd_per_chip_hour", "price", "13.438", "16 chips"),
    ("price from the future", "instances.toml", "[[price]]", 'date = "2026-01-21"', 'date = "2027-01-21"',
     "price.1.trn1.2xlarge.date", "price", "2027-01-21", "future"),
    ("announced chip as official", "chips/trainium4.toml", "[memory]", 'status = "projected"', 'status = "press"',
     "memory.capacity", "projected", "status press of a chip", "status projected"),
    ("derived without arithmetic", "chips/trainium3.toml", "[network]", ', derivation = "12,800/64 and 28,800/144"', "",
     "network.efa_per_chip.derivation", "form", "nothing", "arithmetic"),
    ("bandwidth a thousandth", "chips/h100_sxm.toml", "[memory]", 'value = 3.35, unit = "TB/s"', 'value = 3.35, unit = "GB/s"',
     "memory.bandwidth", "memory", "takes 23.9 s", "0.005 to 0.5 s"),
    ("peak a thousandth", "chips/a10g.toml", "[peak_dense]", 'unit = "TFLOP/s"', 'unit = "GFLOP/s"',
     "peak_dense", "memory", "FLOP per byte", "10 to 5000"),
    ("claim of no chip", "claims.toml", 'id = "s000-speed-4x"', 'chips = ["trainium3"]', 'chips = ["trainium9"]',
     "s000-speed-4x.chips", "claim", "'trainium9'", "trainium3"),
    ("claim of no system", "claims.toml", 'id = "s004-inst-20.8"', 'systems = ["trn2.48xlarge"', 'systems = ["trn2.24xlarge"',
     "s004-inst-20.8.systems", "claim", "'trn2.24xlarge'", "trn2.48xlarge"),
    ("claim that says its verdict", "claims.toml", "[[claim]]", 'unit = "x"', 'unit = "x"\nverdict = "true"',
     "-", "form", "given", "no such field: it is worked out"),
    ("date in the future", "chips/l40s.toml", "[power]", 'date = "2026-08-11"', 'date = "2062-08-11"',
     "power.tdp", "date", "'2062-08-11'", "future"),
    ("date that isn't ISO", "chips/l40s.toml", "[power]", 'date = "2026-08-11"', 'date = "August 2026"',
     "power.tdp", "date", "'August 2026'", "2026-11"),
    ("month that isn't", "chips/l40s.toml", "[power]", 'date = "2026-08-11"', 'date = "2026-18-11"',
     "power.tdp", "date", "'2026-18-11'", "2026-11"),
    ("one name for two chips", "chips/l40s.toml", "", 'name = "NVIDIA L40S"', 'name = "NVIDIA L4"',
     "name", "names", "'NVIDIA L4'", "chip 'l4' has it"),
    ("patterns that overlap", "chips/l40s.toml", "", "'^(NVIDIA )?L40S$'", "'^(NVIDIA )?L4(0S)?$'",
     "match.names", "names", "match 'NVIDIA L4'", "chip 'l4' answers"),
    ("modes that don't divide the cores", "chips/trainium2.toml", "", "per_chip = 4", "per_chip = 3",
     "device.per_chip", "form", "3", "divisor of the 8 cores"),
    ("mode with another count", "chips/trainium3.toml", "", "per_chip = 4", "per_chip = 2",
     "device.LNC=2.per_chip", "modes", "2 devices of 2 cores", "4: the chip has 8"),
    ("unit of another dimension", "chips/trainium2.toml", "[engines]", 'value = 2.4, unit = "GHz"', 'value = 2.4, unit = "GB"',
     "engines.tensor_clock.unit", "form", "'GB'", "a unit of clock"),
    ("power as DMA's bandwidth", "chips/trainium2.toml", "[dma]", 'per_core = { value = 368, unit = "GB/s"', 'per_core = { value = 368, unit = "W"',
     "dma.per_core.unit", "form", "'W'", "a unit of bandwidth"),
    ("rate as bandwidth", "chips/trainium2.toml", "[peak_dense]", 'value = 181, unit = "TFLOP/s"', 'value = 181, unit = "TB/s"',
     "peak_dense.fp32.unit", "form", "'TB/s'", "a unit of rate"),
    ("a copy as official", "chips/h100_sxm.toml", "[power]", 'status = "press"', 'status = "official"',
     "power.tdp", "secondhand", "isn't the vendor's own page", "status press"),
    ("no disagreement", "chips/trainium3.toml", 'field = "memory.bandwidth"', "value = 4.7,", "value = 4.9,",
     "disagreement.memory.bandwidth.1", "alternatives", "the chosen figure itself", "differs"),
    ("alternative of another dimension", "chips/trainium3.toml", 'field = "memory.bandwidth"', 'value = 4.7, unit = "TB/s"', 'value = 4.7, unit = "TB"',
     "disagreement.memory.bandwidth.alternatives", "form", "4.7", "a figure of bandwidth"),
    ("chip that isn't there", "instances.toml", 'id = "rainier"', 'chip = "trainium2"', 'chip = "trainium9"',
     "cluster.rainier.chip", "systems", "'trainium9'", "a chip of the catalog"),
    ("servers that don't divide", "instances.toml", 'id = "trn3_gen2_ultraserver"', "servers = 36", "servers = 35",
     "ultraserver.trn3_gen2_ultraserver.servers", "systems", "35 servers of 144", "divisor"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "after", "old", "new", "field", "rule", "given", "wanted"),
    [fault[1:] for fault in FAULTS],
    ids=[fault[0].replace(" ", "-") for fault in FAULTS],
)
def test_a_planted_fault_is_found_alone(copy, file, after, old, new, field, rule, given, wanted):
    plant(copy, file, after, old, new)

    findings = lint(copy, today=dt.date(2026, 11, 27))

    assert len(findings) == 1, [finding.words for finding in findings]
    (found,) = findings
    assert found.file == Path(file).name
    assert found.field == field
    assert re.fullmatch(rule, found.rule)
    assert re.search(given if "|" in given else re.escape(given), found.given)
    assert wanted in found.wanted
    assert found.chip in found.words
