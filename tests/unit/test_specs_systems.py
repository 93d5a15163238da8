"""Instances, UltraServers and clusters, as the catalog holds them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from trnbench.specs.catalog import load_catalog
from trnbench.specs.figure import CatalogError
from trnbench.specs.systems import load_systems, systems_of

SPECS = Path(__file__).parents[2] / "specs"


def find(name):
    (found,) = [system for system in load_systems() if system.id == name]
    return found


@pytest.mark.parametrize(
    ("name", "chip", "chips", "servers"),
    [
        ("trn2_ultraserver", "trainium2", 64, 4),
        ("trn3_gen1_ultraserver", "trainium3", 64, 4),
        ("trn3_gen2_ultraserver", "trainium3", 144, 36),
    ],
)
def test_ultraservers_have_their_chips(name, chip, chips, servers):
    system = find(name)

    assert (system.level, system.chip, system.chips, system.servers) == (
        "ultraserver",
        chip,
        chips,
        servers,
    )
    bf16 = load_catalog().chip(chip).peak_dense["bf16"]
    assert system.figures["bf16"].si == pytest.approx(chips * bf16.si, rel=0.01)
    assert system.figures["bf16"].origin.source == system.origin.source


def test_the_largest_comes_first_and_levels_are_kept_apart():
    assert [system.chips for system in systems_of("trainium3", "ultraserver")] == [144, 64]
    assert {system.level for system in systems_of("trainium2")} == {
        "instance",
        "ultraserver",
        "cluster",
    }


def test_clusters_from_the_press_are_unconfirmed():
    assert find("rainier").origin.unconfirmed
    assert not find("trn1_ultracluster").origin.unconfirmed


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("chips = 64", "chips = 0", "field 'ultraserver.trn2_ultraserver.chips': 0; wanted a whole"),
        ('id = "trn2_ultraserver"', "", "field 'ultraserver.id': nothing; wanted text"),
        ("servers = 4", "sleds = 4", "trn2_ultraserver.sleds': an unknown key"),
        ('bf16 = { value = 42.8, unit = "PFLOP/s" }', "bf16 = { value = 42.8 }", "bf16.unit'"),
        ('fp8 = { value = 83.2, unit = "PFLOP/s" }', 'fp8 = { text = "much" }', "a text; wanted"),
    ],
)  # fmt: skip
def test_a_broken_system_is_named(tmp_path, old, new, words):
    shutil.copytree(SPECS / "chips", tmp_path / "chips")
    shutil.copy(SPECS / "sources.toml", tmp_path)
    text = (SPECS / "instances.toml").read_text(encoding="utf-8")
    at = text.index("[[ultraserver]]\nid")
    path = tmp_path / "instances.toml"
    path.write_text(text[:at] + text[at:].replace(old, new, 1), encoding="utf-8")

    with pytest.raises(CatalogError) as raised:
        load_systems(path)

    assert words in str(raised.value)
