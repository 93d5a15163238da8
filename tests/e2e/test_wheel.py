"""The wheel that a user installs: what is in it, what it says of itself, and that it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
ROOMS = ("backends", "bench", "models", "results", "specs")
EXTRAS = {"neuron", "neuron-xla", "nvidia", "parquet", "report", "hf", "fuzz", "dev"}


UNTRACKED = (".git", ".venv*", ".*_cache", "*.egg-info", "__pycache__", "build", "dist", "runs")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built through a source distribution from a copy of the checkout, in which a run's file
    and a stale build lie about that must not get in."""
    tree = tmp_path_factory.mktemp("checkout") / "any-name"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*UNTRACKED))
    for stray in ("results/runs/stray.jsonl", "build/lib/trnbench/stale.py"):
        (tree / stray).parent.mkdir(parents=True, exist_ok=True)
        (tree / stray).write_text("{}\n")

    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", tree],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (tree / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        found = archive.namelist()
    assert found
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", target, wheel], check=True)
    return target


@pytest.fixture(scope="module")
def distribution(installed):
    (found,) = metadata.distributions(path=[str(installed)])
    return found


@pytest.fixture
def run(installed, tmp_path):
    """Run this interpreter in an empty folder, with the installed wheel before everything."""

    def run_python(*arguments):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(installed)},
            check=False,
            capture_output=True,
            text=True,
        )

    return run_python


def test_trnbench_is_the_only_top_level_name(names):
    assert {name.split("/")[0] for name in names} == {"trnbench", f"trnbench-{VERSION}.dist-info"}


def test_only_the_rooms_lie_below_it(names):
    inside = {Path(name).parts[1] for name in names if name.startswith("trnbench/")}

    assert inside == {*ROOMS, "__init__.py", "__main__.py", "py.typed"}


def test_no_run_test_or_cache_is_shipped(names):
    suffixes = {Path(name).suffix for name in names if name.startswith("trnbench/")}
    folders = {part for name in names for part in Path(name).parts[:-1]}

    assert suffixes <= {".py", ".toml", ".typed", ".css", ".js", ".j2"}
    assert folders.isdisjoint({"tests", "runs", "docs", "__pycache__"})


def test_every_module_and_data_file_of_the_rooms_is_shipped(names):
    wanted = {
        f"trnbench/{path.relative_to(ROOT).as_posix()}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.suffix in {".py", ".toml", ".html"} and "runs" not in path.parts
    }

    assert len(wanted) > 20
    assert any(name.endswith(".toml") for name in wanted)
    assert wanted - set(names) == set()


def test_the_licence_is_the_full_text(distribution):
    text = distribution.read_text("licenses/LICENSE")

    assert len(text.split()) > 1500
    assert distribution.metadata["License-Expression"] == "Apache-2.0"


def test_entry_points(distribution):
    points = {(point.group, point.name): point for point in distribution.entry_points}

    assert set(points) == {("console_scripts", "trnbench"), ("pytest11", "trnbench")}
    assert points["console_scripts", "trnbench"].value == "trnbench.bench.cli:main"
    assert points["pytest11", "trnbench"].value == "trnbench.bench.plugin"


def test_extras_and_their_markers(distribution):
    requirements = [Requirement(text) for text in distribution.requires]
    by_extra = {
        extra: [r for r in requirements if r.marker and r.marker.evaluate({"extra": extra})]
        for extra in EXTRAS - {"neuron"}
    }

    assert set(distribution.metadata.get_all("Provides-Extra")) == EXTRAS
    assert distribution.metadata["Requires-Python"] == ">=3.11"
    assert all(by_extra.values()), by_extra
    assert [str(r.specifier) for r in by_extra["neuron-xla"]] == ["==2.9.*"]
    (torch,) = [r for r in requirements if r.name == "torch"]
    assert torch.marker is None
    assert "2.9.0" in torch.specifier
    assert "2.8.0" not in torch.specifier


@pytest.mark.parametrize(
    ("python", "wanted"),
    [("3.11", False), ("3.12", True), ("3.14", True), ("3.15", False)],
)
def test_the_neuron_extra_is_for_the_pythons_that_have_wheels(distribution, python, wanted):
    requirements = [Requirement(text) for text in distribution.requires]
    (native,) = [
        r
        for r in requirements
        if r.name == "torch-neuronx" and r.marker and 'extra == "neuron"' in str(r.marker)
    ]

    assert native.marker.evaluate({"extra": "neuron", "python_version": python}) is wanted
    assert [v for v in ("2.12.9", "2.13.0", "2.14.9", "2.15.0") if v in native.specifier] == [
        "2.13.0",
        "2.14.9",
    ]


def test_the_installed_package_is_imported_and_says_its_version(run, installed):
    done = run("-c", "import trnbench; print(trnbench.__file__); print(trnbench.__version__)")

    assert done.returncode == 0, done.stderr
    file, version = done.stdout.split()
    assert Path(file).is_relative_to(installed)
    assert version == VERSION


def test_the_command_says_its_version(run):
    done = run("-m", "trnbench", "--version")

    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == VERSION


def test_pytest_collects_the_built_in_cases_in_an_empty_folder(run):
    done = run("-m", "pytest", "--benchmark", "--collect-only", "-q", "-k", "matmul")

    assert done.returncode == 0, done.stdout + done.stderr
    cases = [line for line in done.stdout.splitlines() if "matmul[" in line]
    assert cases


def test_plain_pytest_in_an_empty_folder_collects_nothing(run):
    done = run("-m", "pytest", "-q")

    assert done.returncode == 5, done.stdout + done.stderr
