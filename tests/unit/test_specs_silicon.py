"""Shares of a chip: what one torch device is."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from trnbench.specs.catalog import load_catalog
from trnbench.specs.figure import CatalogError
from trnbench.specs.silicon import cores_of_share, device_share, part_of

ROOT = Path(__file__).parents[2]
HARDWARE = ROOT.parent / "shared" / "specs" / "hardware.toml"


@pytest.mark.parametrize(
    ("chip_id", "mode", "per_chip", "cores", "memory_gib", "bandwidth_tb_per_s"),
    [
        ("trainium1", None, 2, 1, 16, 0.44),
        ("inferentia2", None, 2, 1, 16, 0.44),
        ("trainium2", None, 4, 2, 24, 0.725),
        ("trainium2", "LNC=2", 4, 2, 24, 0.725),
        ("trainium2", "LNC=1", 8, 1, 12, 0.3625),
        ("trainium3", None, 4, 2, 36, 1.225),
        ("trainium3", "LNC=1", 8, 1, 18, 0.6125),
    ],
)
def test_a_device_of_a_neuron_chip(chip_id, mode, per_chip, cores, memory_gib, bandwidth_tb_per_s):
    share = device_share(load_catalog().chip(chip_id), mode)

    assert share.per_chip == per_chip
    assert share.share * per_chip == 1
    assert share.cores == cores
    assert share.memory_bytes == memory_gib * 2**30
    assert share.memory_bytes_per_s == pytest.approx(bandwidth_tb_per_s * 1e12, rel=1e-12)


def test_a_gpu_is_one_device_and_has_no_count_of_cores():
    share = device_share(load_catalog().chip("h100_sxm"))

    assert (share.share, share.cores, share.memory_bytes) == (1, None, 80e9)


def test_devices_of_a_mode_make_up_the_chip():
    compared = 0
    for chip in load_catalog().chips.values():
        for device in chip.devices:
            share = device_share(chip, device.mode)
            assert share.memory_bytes * share.per_chip == chip.figure("memory", "capacity").si
            compared += 1
    assert compared >= 18


def test_shares_agree_with_the_collected_table():
    if not HARDWARE.exists():
        pytest.skip("needs the collected data, shared/specs/hardware.toml, beside the checkout")
    rows = tomllib.loads(HARDWARE.read_text(encoding="utf-8"))["visible_device"]
    assert len(rows) == 6
    for row in rows:
        chip = load_catalog().chip(row["chip"])
        mode = row["mode"].removesuffix(" (default)").replace("NeuronCore-v2", "core")

        share = device_share(chip, mode)

        assert share.memory_bytes == row["hbm_gib_share"] * 2**30
        assert share.memory_bytes_per_s == pytest.approx(row["hbm_tbps_share"] * 1e12)
        for dtype, tflops in row["tensor_engine_tflops"].items():
            per_core = chip.tensor_engine_per_core[dtype].si
            assert per_core * share.cores == pytest.approx(tflops * 1e12)


def test_an_unknown_mode_is_answered_with_the_known_ones():
    with pytest.raises(CatalogError, match=r"unknown mode 'LNC=4'; known: LNC=2, LNC=1"):
        device_share(load_catalog().chip("trainium2"), "LNC=4")


def test_a_chip_whose_devices_are_unknown_has_no_share():
    with pytest.raises(CatalogError, match="doesn't say how many torch devices"):
        device_share(load_catalog().chip("tpu_v5p"))


def test_cores_of_a_share_are_whole_or_unknown():
    trainium2 = load_catalog().chip("trainium2")

    assert cores_of_share(trainium2, 0.25) == 2
    assert cores_of_share(trainium2, 1) == 8
    assert cores_of_share(trainium2, 0.3) is None
    assert cores_of_share(trainium2, 1 / 16) is None
    assert cores_of_share(load_catalog().chip("h100_sxm"), 1) is None


@pytest.mark.parametrize("share", [0, -0.25, 1.5])
def test_a_share_that_is_no_part_is_refused(share):
    capacity = load_catalog().chip("l4").figure("memory", "capacity")

    with pytest.raises(ValueError, match="more than 0 and at most 1"):
        part_of(capacity, share)


def test_a_third_device_per_chip_would_be_seen(tmp_path):
    """The share follows from the file alone."""
    shutil.copytree(ROOT / "specs" / "chips", tmp_path / "chips")
    shutil.copy(ROOT / "specs" / "sources.toml", tmp_path)
    path = tmp_path / "chips" / "trainium2.toml"
    text = path.read_text(encoding="utf-8")
    assert text.count("per_chip = 4\n") == 1
    path.write_text(text.replace("per_chip = 4\n", "per_chip = 2\n"), encoding="utf-8")

    share = device_share(load_catalog(tmp_path).chip("trainium2"))

    assert (share.share, share.cores) == (0.5, 4)
