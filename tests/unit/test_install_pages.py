"""The pages about Neuron: what they say of instances, commands and files is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trnbench.bench.cli import app
from trnbench.bench.run_check import Expectation
from trnbench.specs.catalog import load_catalog, read_toml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INSTALL = sorted((DOCS / "install").glob("*.md"))
PAGES = [*INSTALL, DOCS / "neuron.md", DOCS / "unverified_on_hardware.md"]
INSTANCES = {one["type"]: one for one in read_toml(ROOT / "specs" / "instances.toml")["instance"]}
CHIPS = {"trn1": "trainium1", "inf2": "inferentia2", "trn2": "trainium2", "trn3": "trainium3"}


def rows(page):
    """The rows of every table of a page, as (heading -> cell)."""
    found, heading = [], None
    for line in page.read_text().splitlines():
        if not line.startswith("|"):
            heading = None
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
        if heading is None:
            heading = cells
        elif not set("".join(cells)) <= set("-: "):
            assert len(cells) == len(heading), line
            found.append(dict(zip(heading, cells, strict=True)))
    return found


def commands(page):
    """Every call of trnbench that a page shows, as its words."""
    text = page.read_text()
    code = [*re.findall(r"^    (.*)$", text, re.MULTILINE), *re.findall(r"`([^`\n]+)`", text)]
    calls = [
        re.search(r"(?:^|&& |\s)trnbench ((?!trnbench)(?:[a-z][a-z-]*)\b.*)", line) for line in code
    ]
    return [call[1].split(" && ")[0].split(" # ")[0].split() for call in calls if call]


def stated_instances():
    return [
        (name.strip(), row)
        for page in INSTALL
        for row in rows(page)
        if "instance" in row
        for name in row["instance"].split(",")
    ]


def test_there_are_pages_and_every_instance_family_is_on_one():
    families = {name.split(".")[0].rstrip("nu") for name, _ in stated_instances() if "." in name}

    assert len(INSTALL) >= 5
    assert families == {"trn1", "inf2", "trn2"}


@pytest.mark.parametrize(("name", "row"), stated_instances())
def test_sizes_are_those_of_the_catalog(name, row):
    chip = load_catalog().chips[CHIPS[name[:4].lower()]]
    count, memory = int(row["chips"]), chip.figure("memory", "capacity")
    (devices,) = [mode.per_chip for mode in chip.devices if mode.default]

    assert memory.unit == "GiB"
    assert row["device memory"] == f"{memory.value * count:g} GiB"
    if "physical cores" in row:
        assert int(row["physical cores"]) == chip.figure("cores", "physical").value * count
        assert int(row["torch devices (LNC=2)"]) == devices * count
    else:
        assert int(row["cores (torch devices)"]) == devices * count


@pytest.mark.parametrize(("name", "row"), stated_instances())
def test_what_the_catalog_knows_of_an_instance_is_said_and_nothing_else(name, row):
    stated = [int(number) for number in re.findall(r"\d+", row["host"])]
    instance = INSTANCES.get(name)

    if instance is None:
        assert stated == []
        return
    figures = instance["figures"]
    assert int(row["chips"]) == instance["chips"]
    assert stated == [figures["vcpus"]["value"], figures["host_memory"]["value"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()) if "://" not in link]

    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_checkout_that_are_named_exist(page):
    named = set(re.findall(r"\b((?:deploy|docs|backends|\.github)/[\w./-]*\w)", page.read_text()))

    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page):
    helps = {}
    for words in commands(page):
        name = words[0]
        if name not in helps:
            result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "400"})
            assert result.exit_code == 0, f"trnbench {name}"
            helps[name] = set(re.findall(r"--[a-z][a-z-]*", result.output))
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        assert options <= helps[name], words


def test_options_in_tables_are_those_of_a_run():
    text = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "400"}).output
    cells = [row["option"] for row in rows(DOCS / "neuron.md") if "option" in row]
    options = [word for cell in cells for word in re.findall(r"--[a-z-]+", cell)]

    assert options
    assert not [option for option in options if option not in text]


def test_the_pages_show_commands():
    shown = {words[0] for page in PAGES for words in commands(page)}

    assert {"run", "check", "doctor", "show", "compile"} <= shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_of_the_script_for_ci_exist(page):
    known = subprocess.run(
        [ROOT / "deploy" / "neuron_ci.sh", "--help"], capture_output=True, text=True, check=True
    ).stdout
    text = re.sub(r"\\\n\s*", "", page.read_text())
    calls = re.findall(r"neuron_ci\.sh((?: +(?:--?[\w-]+|[\w./\"$=-]+))*)", text)
    options = {word for call in calls for word in call.split() if word.startswith("--")}

    assert not [option for option in options if option not in known.split()]


def test_what_each_assumption_needs_is_said():
    found = [row for row in rows(DOCS / "unverified_on_hardware.md") if "assumption" in row]

    assert len(found) > 40
    assert not [row for row in found if not all(row.values())]
    # A command, or the figure of a record that a command above the tables prints.
    settled = [row["settled by"] for row in found]
    assert not [
        text
        for text in settled
        if "`" not in text and not re.match(r"the (same|first|run|workflow)|run the workflow", text)
    ]


def test_every_choice_of_the_check_is_explained():
    page = (DOCS / "install" / "runners.md").read_text()
    options = {"--" + name.replace("_", "-") for name in Expectation.__slots__}

    assert options - {"--backend"} <= set(re.findall(r"--[a-z-]+", page))
