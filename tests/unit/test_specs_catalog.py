"""The catalog: complete, sourced, consistent, and loud about what is broken in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from trnbench.specs.catalog import load_catalog
from trnbench.specs.figure import CatalogError, Figure
from trnbench.specs.measured import load_measured
from trnbench.specs.units import UNITS, to_si

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "specs"
HARDWARE = ROOT.parent / "shared" / "specs" / "hardware.toml"
CHIPS = sorted(path.stem for path in (SPECS / "chips").glob("*.toml"))

#: Sections of the collected data -> sections of the catalog, where the names differ.
SECTIONS = {
    "peak_dense_tflops": "peak_dense",
    "peak_sparse_tflops": "peak_sparse",
    "tensor_engine_tflops_per_core": "tensor_engine_per_core",
    "tensor_engine_sparse_tflops_per_core": "tensor_engine_sparse_per_core",
}
#: What a key of the collected data says about the unit, where the figure has none.
SUFFIXES = {"_ghz": "GHz", "_pflops_sparse": "PFLOP/s", "_tb": "TB", "_tbps": "TB/s"}


#: Sections whose figures were collected in a table of links, not with a chip.
LINKS = ("neighbours", "latency")
#: Chip -> how many figures that were collected from copies have the vendor's own page since.
CONFIRMED_SINCE = {"h200_sxm": 3}
#: Since when a chip is to be had stands among the claims' worked examples, and not there.
ADDED = ("facts", "available")


@pytest.fixture(scope="module")
def hardware():
    if not HARDWARE.exists():
        pytest.skip("needs the collected data, shared/specs/hardware.toml, beside the checkout")
    return tomllib.loads(HARDWARE.read_text(encoding="utf-8"))


@pytest.fixture
def copy(tmp_path):
    """A directory with the catalog's files, to break."""
    shutil.copytree(SPECS / "chips", tmp_path / "chips")
    shutil.copy(SPECS / "sources.toml", tmp_path)
    return tmp_path


def collectable(chip):
    """The facts of a chip in the sections that were collected chip by chip."""
    return (fact for fact in chip.facts if fact[0] not in LINKS and fact[:2] != ADDED)


def collected_facts(data):
    """(section, key, table) of every figure of a chip in the collected data."""
    for key, value in data.items():
        if isinstance(value, dict) and "value" in value:
            yield "facts", key, value
        elif isinstance(value, dict):
            for name, table in value.items():
                yield SECTIONS.get(key, key), name, table


def collected_value(section, key, table):
    """The figure in SI base units, from its own unit, its key or its section."""
    value = table["value"]
    if isinstance(value, str):
        return value
    unit = table.get("unit") or next(
        (unit for suffix, unit in SUFFIXES.items() if key.endswith(suffix)), None
    )
    if unit is None and (section.startswith(("peak_", "tensor_")) or "_tflops" in key):
        unit = "TFLOP/s"
    return float(value) if unit is None else to_si(value, unit)


# ------------------------------------------------------------------ against what was collected


def test_every_collected_chip_is_there_and_no_other(hardware):
    assert len(hardware["chip"]) >= 21

    assert sorted(hardware["chip"]) == list(load_catalog().chip_ids)


def test_every_collected_figure_is_there_with_its_value(hardware):
    compared = 0
    for chip_id, data in hardware["chip"].items():
        expected, found = {}, {}
        for section, key, table in collected_facts(data):
            expected.setdefault(section, []).append(collected_value(section, key, table))
        for section, _, fact in collectable(load_catalog().chip(chip_id)):
            value = fact.si if isinstance(fact, Figure) else fact.text
            found.setdefault(section, []).append(value)

        assert {section: Counter(values) for section, values in expected.items()} == {
            section: Counter(values) for section, values in found.items()
        }, chip_id
        compared += sum(map(len, expected.values()))
    assert compared == 384


def test_figures_by_dtype_stand_under_their_own_dtype(hardware):
    compared = 0
    for chip_id, data in hardware["chip"].items():
        for section in SECTIONS.keys() & data.keys():
            for dtype, table in data[section].items():
                figure = load_catalog().chip(chip_id).figure(SECTIONS[section], dtype)

                assert figure is not None
                assert figure.value == table["value"]
                assert figure.unit == ("TOP/s" if dtype == "int8" else "TFLOP/s")
                compared += 1
    assert compared > 150


def iso_date(text):
    """A collected date as the catalog writes one: the year, year-month or date that it begins
    with, or undated."""
    found = re.match(r"(undated|\d{4}(-\d\d(-\d\d)?)?)", text)
    assert found, text
    return found[0]


def test_provenance_is_carried_over(hardware):
    renamed = {"seed003": "news_trainium4_2026", "seed004": "news_trainium2_2024"}
    compared = 0
    for chip_id, data in hardware["chip"].items():
        expected = Counter(
            (
                section,
                str(table["value"]),
                renamed.get(table["source"], table["source"]),
                iso_date(table["doc_date"]),
                # A vendor's figure in a third party's copy isn't one to stand on.
                "press" if table.get("relayed") else table["status"],
                table.get("relayed", False),
                table.get("derived", ""),
            )
            for section, _, table in collected_facts(data)
        )
        found = Counter(
            (
                section,
                str(fact.value) if isinstance(fact, Figure) else fact.text,
                fact.origin.source,
                fact.origin.date,
                fact.origin.basis or fact.origin.status,
                fact.origin.relayed,
                fact.origin.derivation,
            )
            for section, _, fact in collectable(load_catalog().chip(chip_id))
        )

        changed = found - expected
        confirmed = {key[2] for key in changed if key[4] == "official"}
        assert changed.total() == CONFIRMED_SINCE.get(chip_id, 0), chip_id
        assert all(load_catalog().sources[source].is_vendors for source in confirmed), chip_id
        compared += expected.total()
    assert compared == 384


def test_conflicts_and_gaps_are_carried_over(hardware):
    for chip_id, data in hardware["chip"].items():
        chip = load_catalog().chip(chip_id)

        # A disagreement about figures stands as data, any other as text.
        assert len(chip.conflicts) + len(chip.disagreements) >= len(data["conflict"])
        assert len(chip.missing) >= len(data["missing"])


def test_visible_devices_are_carried_over(hardware):
    expected = Counter((d["chip"], d["devices_per_chip"]) for d in hardware["visible_device"])
    assert expected

    found = Counter(
        (chip.id, device.per_chip)
        for chip in load_catalog().chips.values()
        for device in chip.devices
        if chip.vendor == "AWS"
    )

    assert found == expected


@pytest.mark.parametrize("kind", ["instance", "ultraserver", "price"])
def test_instances_and_prices_are_carried_over(hardware, kind):
    ours = tomllib.loads((SPECS / "instances.toml").read_text(encoding="utf-8"))[kind]
    assert len(ours) == len(hardware[kind]) > 0

    for mine, theirs in zip(ours, hardware[kind], strict=True):
        for key in ("type", "id", "chip", "chips", "usd_per_hour", "source", "status", "region"):
            assert mine.get(key) == theirs.get(key)
        skip = {"chips", "usd_per_hour", "usd_per_chip_hour"}
        numbers = [v for k, v in theirs.items() if not isinstance(v, str) and k not in skip]
        assert sorted(numbers) == sorted(f["value"] for f in mine.get("figures", {}).values())


def test_latencies_of_links_are_carried_over(hardware):
    links = {link["id"]: link for link in hardware["link"]}
    us = {"trainium1": "hbm_sbuf_dma_trn1", "trainium3": "hbm_sbuf_dma_trn3"}
    for chip_id, link in us.items():
        start = load_catalog().chip(chip_id).figure("latency", "dma_start")
        assert start.si == pytest.approx(links[link]["alpha_us_max"] * 1e-6)
    two = load_catalog().chip("trainium2")
    hop = links["neuronlink_v3_intra"]
    assert two.figure("latency", "neuronlink_hop_least").si == hop["alpha_us_min"] * 1e-6
    assert two.figure("latency", "neuronlink_hop_most").si == hop["alpha_us_max"] * 1e-6
    assert two.figure("latency", "efa").si == links["efa_v3_trn2_rank_lnc2"]["alpha_us_min"] * 1e-6
    for level, link in (("intra", "neuronlink_v3_intra"), ("inter", "neuronlink_v3_inter")):
        whole = two.figure("interconnect", f"{level}_instance").si
        count = two.figure("neighbours", f"{level}_instance").si
        assert whole / count == links[link]["per_neighbour_gbps"] * 1e9


# ------------------------------------------------------------------ by itself


def test_every_figure_has_a_source_that_is_listed_and_every_source_is_used():
    catalog = load_catalog()
    used = {fact.origin.source for chip in catalog.chips.values() for _, _, fact in chip.facts} | {
        device.origin.source for chip in catalog.chips.values() for device in chip.devices
    }
    for chip in catalog.chips.values():
        for disagreement in chip.disagreements:
            used |= {other.origin.source for other in disagreement.alternatives}
    instances = tomllib.loads((SPECS / "instances.toml").read_text(encoding="utf-8"))
    for kind in ("instance", "ultraserver", "cluster", "price"):
        for entry in instances[kind]:
            used |= {entry["source"], entry.get("network_source", entry["source"])}
    used |= {figure.origin.source for own in load_measured().values() for figure in own.values()}

    assert used == set(catalog.sources)


def test_no_sparse_figure_stands_where_a_dense_one_belongs():
    compared = 0
    for chip in load_catalog().chips.values():
        for dtype, dense in chip.peak_dense.items():
            sparse = chip.figure("peak_sparse", dtype)
            if sparse is not None:
                assert 1.7 < sparse.si / dense.si < 4.3, (chip.id, dtype)
                compared += 1
    assert compared > 30


def test_narrow_types_are_at_most_about_twice_as_fast():
    compared = 0
    for chip in load_catalog().chips.values():
        peaks = chip.peak_dense
        for wide, narrow in (("bf16", "fp8"), ("bf16", "int8"), ("bf16", "fp16"), ("tf32", "bf16")):
            if wide in peaks and narrow in peaks:
                assert 0.99 < peaks[narrow].si / peaks[wide].si < 2.1, (chip.id, narrow)
                compared += 1
    assert compared > 40


def test_engines_of_all_cores_stay_below_the_chip_and_within_a_tenth():
    compared = 0
    for chip in load_catalog().chips.values():
        for dtype, figure in chip.tensor_engine_per_core.items():
            cores = chip.figure("cores", "physical")
            assert 0.87 < figure.si * cores.si / chip.peak_dense[dtype].si < 1.01
            compared += 1
    assert compared >= 20


def test_aggregates_of_instances_are_the_chips_times_their_count():
    data = tomllib.loads((SPECS / "instances.toml").read_text(encoding="utf-8"))
    compared = 0
    for entry in (*data["instance"], *data["ultraserver"]):
        chip = load_catalog().chip(entry["chip"])
        for name, printed in entry.get("figures", {}).items():
            one = chip.peak_dense.get(name)
            if name == "memory":
                one = chip.figure("memory", "capacity")
            if name == "memory_bandwidth":
                one = chip.figure("memory", "bandwidth")
            if one is not None:
                total = to_si(printed["value"], printed["unit"])
                assert one.si * entry["chips"] == pytest.approx(total, rel=0.01)
                compared += 1
    assert compared >= 25


def test_the_figures_that_the_roofs_need_are_there_by_name():
    chip = load_catalog().chip("trainium2")

    assert chip.figure("engines", "vector_fp32_per_core").si == 1.0e12
    assert chip.figure("engines", "scalar_fp32_per_core").si == 1.2e12
    assert chip.figure("dma", "per_core").si == 368e9
    assert chip.figure("onchip", "sbuf_per_core").si == 28 * 2**20
    assert chip.figure("memory", "capacity").si == 96 * 2**30
    assert chip.figure("memory", "bandwidth").si == 2.9e12
    assert chip.figure("peak_sparse", "bf16").si == 2563e12
    assert chip.peak_dense["bf16"].si == 667e12
    assert chip.figure("peak_dense", "int8") is None


def test_a_derived_figure_shows_its_arithmetic_and_what_it_rests_on():
    origin = load_catalog().chip("l4").peak_dense["int8"].origin

    assert (origin.status, origin.basis, origin.derivation) == (
        "derived",
        "press",
        "485 sparse / 2",
    )


def test_figures_of_an_unknown_section_are_a_mistake_not_an_unknown_figure():
    with pytest.raises(KeyError, match="peak_dens"):
        load_catalog().chip("l4").figure("peak_dens", "bf16")


# ------------------------------------------------------------------ loading


def test_default_catalog_is_loaded_once():
    assert load_catalog() is load_catalog()


def test_version_is_a_date():
    year, month, day = map(int, load_catalog().version.split("-"))

    assert year >= 2026
    assert 1 <= month <= 12
    assert 1 <= day <= 31


def test_unknown_chip_is_answered_with_the_nearest():
    with pytest.raises(CatalogError, match=r"unknown chip 'tranium2'.*Did you mean 'trainium2'\?"):
        load_catalog().chip("tranium2")


@pytest.mark.parametrize(
    ("old", "new", "field", "wanted"),
    [
        ("value = 667, unit", "value = '667', unit", "peak_dense.tf32.value", "a number"),
        ("value = 667, unit", "value = -667, unit", "peak_dense.tf32.value", "above 0"),
        ("value = 667, unit", "value = inf, unit", "peak_dense.tf32.value", "above 0"),
        ("value = 667, unit", "value = true, unit", "peak_dense.tf32.value", "a number"),
        ("value = 667, unit", "unit", "peak_dense.tf32.value", "a number"),
        ('"TFLOP/s"', '"TFLOPS"', "peak_dense.fp32.unit", "TFLOP/s"),
        ('"TFLOP/s"', '"GB/s"', "peak_dense.fp32.unit", "a unit of rate"),
        ('source = "neuron_trainium2"', 'source = "hearsay"', "cores.physical.source", "lists"),
        ('status = "official"', 'status = "true"', "device.status", "official, press"),
        ('date = "2025-12-01"', 'date = ""', "cores.physical.date", "text"),
        ('date = "2025-12-01", ', "", "cores.physical.date", "text"),
        ("{ value = 181,", "{ valeu = 181,", "peak_dense.fp32.valeu", "value"),
        ("[peak_dense]", "[peak_desne]", "peak_desne", "peak_dense"),
        ('id = "trainium2"', 'id = "trainium9"', "id", "trainium2"),
        ("per_chip = 4", "per_chip = 3", "device.per_chip", "divisor of the 8 cores"),
        ("per_chip = 4", "per_chip = 0", "device.per_chip", "1 or more"),
        ("default = true", "default = false", "device.default", "exactly one"),
        ('mode = "LNC=1"', 'mode = "LNC=2"', "device.mode", "once"),
        ("'^(AWS )?Trainium2$'", "'^(AWS ?Trainium2$'", "match.names", "regular expression"),
        ("'^(AWS )?Trainium2$'", "'Trainium2'", "match.names", "whole name"),
        ("bandwidth = { value = 2.9", "bandwdith = { value = 2.9", "memory.bandwidth", "bandwidth"),
        ('capacity = { value = 96, unit = "GiB"', 'capacity = { value = 96, unit = "W"', "memory.capacity.unit", "size"),
        ("value = 667, unit", "value = 1e300, unit", "peak_dense.tf32.value", "1e+30"),
        ("value = 667, unit", "value = 1e-300, unit", "peak_dense.tf32.value", "1e-30"),
        ("value = 667, unit", f"value = {10**400}, unit", "peak_dense.tf32.value", "1e+30"),
        ("per_chip = 4", f"per_chip = {10**400}", "device.per_chip", "at most"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_by_file_chip_and_field(copy, old, new, field, wanted):
    path = copy / "chips" / "trainium2.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    with pytest.raises(CatalogError) as caught:
        load_catalog(copy).chip("trainium2")

    message = str(caught.value)
    assert message.startswith("trainium2.toml: chip 'trainium2', ")
    assert f"field '{field}'" in message
    assert wanted in message.partition("wanted")[2]


#: Fields that a roof is computed from, and a unit of another dimension than theirs.
OF_A_ROOF = [
    ("cores.physical", "GB", "count"),
    ("peak_dense.bf16", "W", "rate"),
    ("tensor_engine_per_core.bf16", "GB/s", "rate"),
    ("engines.vector_fp32_per_core", "GHz", "rate"),
    ("memory.capacity", "GB/s", "size"),
    ("memory.bandwidth", "GB", "bandwidth"),
    ("dma.per_core", "W", "bandwidth"),
    ("onchip.sbuf_per_core", "GB/s", "size"),
    ("onchip.l2", "count", "size"),
    ("onchip.infinity_cache", "W", "size"),
]


@pytest.mark.parametrize(("field", "unit", "wanted"), OF_A_ROOF)
def test_what_a_roof_is_computed_from_has_its_dimension(copy, field, unit, wanted):
    section, _, name = field.partition(".")
    chip = next(
        chip for chip in load_catalog().chips.values() if chip.figure(section, name) is not None
    )
    path = copy / "chips" / f"{chip.id}.toml"
    head, mark, text = path.read_text(encoding="utf-8").partition(f"\n[{section}]\n")
    broken, changed = re.subn(
        rf'(?m)^({name} = {{ value = [^,]+, unit = )"[^"]+"', rf'\1"{unit}"', text, count=1
    )
    assert changed == 1
    path.write_text(head + mark + broken, encoding="utf-8")

    with pytest.raises(CatalogError) as caught:
        load_catalog(copy).chip(chip.id)

    assert caught.value.place.field == f"{field}.unit"
    assert (caught.value.given, caught.value.wanted) == (f"'{unit}'", f"a unit of {wanted}")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('vendor = "AWS"', 'vendor = "A\\u001b[2JWS"', r"field 'vendor': 'A\x1b[2JWS' with the"),
        ("[peak_dense]", '[peak_dense."a\\u202e"]', r"field 'peak_dense': 'a\u202e' with the"),
    ],
)
def test_what_a_terminal_obeys_is_refused(copy, old, new, said):
    path = copy / "chips" / "trainium2.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    with pytest.raises(CatalogError, match=re.escape(f"trainium2.toml: {said} control character")):
        load_catalog(copy).chip("trainium2")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"status": '"derived"'}, "derivation"),
        ({"status": '"derived"', "derivation": '"2 x 90.5"'}, "basis"),
        ({"basis": '"press"'}, "basis"),
    ],
)
def test_a_derived_figure_must_show_its_arithmetic(copy, change, field):
    path = copy / "chips" / "trainium2.toml"
    table = {"value": "181", "unit": '"TFLOP/s"', "source": '"nki_trn2"', "date": '"2026"'}
    table |= {"status": '"official"'} | change
    line = "fp32 = { " + ", ".join(f"{key} = {value}" for key, value in table.items()) + " }"
    lines = path.read_text(encoding="utf-8").splitlines()
    at = lines.index("[peak_dense]") + 1
    assert lines[at].startswith("fp32 = ")
    lines[at] = line
    path.write_text("\n".join(lines), encoding="utf-8")

    with pytest.raises(CatalogError, match=f"field 'peak_dense.fp32.{field}'"):
        load_catalog(copy).chip("trainium2")


def test_invalid_toml_is_refused_with_the_files_name(copy):
    (copy / "chips" / "l4.toml").write_text("id = \nname = 3", encoding="utf-8")

    with pytest.raises(CatalogError, match=r"l4\.toml: not valid TOML: .*line 1"):
        load_catalog(copy).chip("l4")


def test_a_directory_without_a_catalog_is_refused(tmp_path):
    with pytest.raises(CatalogError, match=r"sources\.toml: no such file"):
        load_catalog(tmp_path)


def test_another_directory_is_read_anew_each_time(copy):
    assert load_catalog(copy).chip("l4").name == "NVIDIA L4"
    path = copy / "chips" / "l4.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace('name = "NVIDIA L4"', 'name = "L4!"'),
        encoding="utf-8",
    )

    assert load_catalog(copy).chip("l4").name == "L4!"


# ------------------------------------------------------------------ names of devices


@pytest.mark.parametrize(
    ("name", "memory_bytes", "chip"),
    [
        ("NVIDIA H100 80GB HBM3", 84_929_544_192, "h100_sxm"),
        ("NVIDIA H100 80GB HBM3", None, "h100_sxm"),
        ("NVIDIA H100 PCIe", 84_942_979_072, "h100_pcie"),
        ("NVIDIA A100-SXM4-40GB", 42_297_786_368, "a100_sxm_40gb"),
        ("NVIDIA A100-SXM4-80GB", 84_987_740_160, "a100_sxm_80gb"),
        ("A100-SXM4-40GB", None, "a100_sxm_40gb"),
        ("NVIDIA L4", 23_665_311_744, "l4"),
        ("NVIDIA L40S", 47_677_177_856, "l40s"),
        ("Tesla T4", 15_655_829_504, "t4"),
        ("NVIDIA A10G", 23_712_497_664, "a10g"),
        ("NVIDIA H200", 150_109_880_320, "h200_sxm"),
        ("NVIDIA B200", 191_503_269_888, "b200_sxm"),
        ("NVIDIA GB200", None, "gb200_gpu"),
        ("AMD Instinct MI300X", 206_141_652_992, "mi300x"),
        ("trn2.48xlarge", None, "trainium2"),
        ("trn1.32xlarge", None, "trainium1"),
        ("inf2.xlarge", 16 * 2**30, "inferentia2"),
    ],
)
def test_device_names_are_recognised(name, memory_bytes, chip):
    assert load_catalog().match_device(name, memory_bytes)[0] == chip


@pytest.mark.parametrize(
    ("name", "memory_bytes", "reason"),
    [
        ("NVIDIA H100 NVL", None, "no chip"),
        ("NVIDIA H100", None, "no chip"),
        ("NVIDIA H200 NVL", None, "no chip"),
        ("NVIDIA A100 80GB PCIe", None, "no chip"),
        ("NVIDIA A100-PCIE-40GB", None, "no chip"),
        ("NVIDIA L40", None, "no chip"),
        ("NVIDIA A10", None, "no chip"),
        ("NVIDIA GH200 480GB", None, "no chip"),
        ("AMD Instinct MI300A", None, "no chip"),
        ("Tesla T40", None, "no chip"),
        ("NVIDIA GeForce RTX 4090", None, "no chip"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None, "MIG"),
        ("NVIDIA H100 80GB HBM3", 42 * 10**9, "reports 42.0 GB"),
        ("NVIDIA H100 80GB HBM3", 100 * 10**9, "reports 100.0 GB"),
        ("", None, "no name"),
    ],
)
def test_other_devices_are_not_guessed(name, memory_bytes, reason):
    chip, why = load_catalog().match_device(name, memory_bytes)

    assert chip is None
    assert reason in why


def test_no_two_chips_share_a_name():
    names = [name for chip in load_catalog().chips.values() for name in chip.names]
    assert len(names) >= 21

    assert len(names) == len(set(names))


# ------------------------------------------------------------------ units and imports


@pytest.mark.parametrize(
    ("value", "unit", "si"),
    [
        (820, "GiB/s", 880_468_295_680),
        (880.5, "GB/s", 880.5e9),
        (96, "GiB", 103_079_215_104),
        (80, "GB", 80e9),
        (1, "TiB/s", 1_099_511_627_776),
        (200, "Gbit/s", 25e9),
        (28, "MiB", 29_360_128),
        (667, "TFLOP/s", 667e12),
        (380, "TOP/s", 380e12),
        (2.4, "GHz", 2.4e9),
        (600, "ns", 6e-7),
    ],
)
def test_units_become_si(value, unit, si):
    assert to_si(value, unit) == pytest.approx(si, rel=1e-12)


def test_gibibytes_are_not_gigabytes():
    assert to_si(820, "GiB/s") / 1e9 == pytest.approx(880.468, abs=0.001)
    assert load_catalog().chip("trainium1").figure("memory", "bandwidth").si == pytest.approx(
        to_si(820, "GiB/s"), rel=0.001
    )


def test_an_unknown_unit_is_refused():
    assert "GiB/s" in UNITS
    with pytest.raises(ValueError, match=r"unknown unit 'GBps'; known: .*GB/s"):
        to_si(1, "GBps")


def test_importing_the_room_and_loading_it_imports_nothing_heavy():
    modules = sorted(path.stem for path in SPECS.glob("*.py") if path.stem != "__init__")
    assert len(modules) >= 10
    program = "\n".join(
        [
            *(f"import trnbench.specs.{module}" for module in modules),
            "from trnbench.specs.catalog import load_catalog",
            "assert len(load_catalog().chips) == len(load_catalog().chip_ids)",
            "import sys",
            "heavy = ('torch', 'pandas', 'scipy', 'numpy', 'pydantic', 'rich', 'typer', 'pytest')",
            "print([name for name in heavy if name in sys.modules])",
        ]
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stderr == ""
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("chip_id", CHIPS)
def test_each_file_says_what_the_loader_then_says(chip_id):
    data = tomllib.loads((SPECS / "chips" / f"{chip_id}.toml").read_text(encoding="utf-8"))
    chip = load_catalog().chip(chip_id)

    assert chip.name == data["name"]
    assert {name: figure.value for name, figure in chip.peak_dense.items()} == {
        name: table["value"] for name, table in data["peak_dense"].items()
    }


def test_the_sweep_over_files_is_not_empty():
    assert len(CHIPS) >= 21
