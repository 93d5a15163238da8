"""Backends by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from trnbench.backends import registry
from trnbench.backends.cpu import CpuBackend
from trnbench.backends.protocol import Availability

BUILT_IN = ("cpu", "cuda", "xpu", "mps", "neuron", "neuron-xla", "xla")


class Point:
    """An entry point that another distribution declared."""

    def __init__(self, name, target):
        self.name = name
        self.value = "elsewhere:Backend"
        self._target = target

    def load(self):
        if isinstance(self._target, Exception):
            raise self._target
        return self._target


@pytest.fixture
def declared(monkeypatch):
    points = []
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: list(points))
    monkeypatch.setattr(registry, "_registered", {})
    return points


class OtherBackend(CpuBackend):
    name = "other"

    def availability(self):
        return Availability(available=False, reason="made for a test")


def test_the_built_in_backends_come_first(declared):
    assert registry.names() == BUILT_IN


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_built_in_backend_goes_by_its_name(name):
    assert registry.create(name).name == name


def test_an_unknown_name_is_answered_with_the_known_ones(declared):
    with pytest.raises(KeyError) as caught:
        registry.create("cudaa")

    assert str(caught.value) == (
        "unknown backend 'cudaa'; known: cpu, cuda, xpu, mps, neuron, neuron-xla, xla. Did you mean 'cuda'?"
    )


def test_a_registered_backend_is_known_and_made_anew_each_time(declared):
    registry.register("other", OtherBackend)
    registry.register("other", OtherBackend)

    assert registry.names()[-1] == "other"
    assert registry.create("other") is not registry.create("other")
    assert registry.availabilities()["other"].reason == "made for a test"


@pytest.mark.parametrize("name", ["cpu", "other"])
def test_a_name_is_given_once(declared, name):
    registry.register("other", OtherBackend)

    with pytest.raises(ValueError, match=f"'{name}' exists already"):
        registry.register(name, CpuBackend)


def test_another_distribution_s_backend_is_known(declared):
    declared.append(Point("other", OtherBackend))

    assert "other" in registry.names()
    assert isinstance(registry.create("other"), OtherBackend)


def test_a_broken_backend_of_another_distribution_is_unavailable_with_its_error(declared):
    declared.append(Point("other", ImportError("no module named vendor")))

    found = registry.availabilities()

    assert found["cpu"].available
    assert not found["other"].available
    assert "ImportError: no module named vendor" in found["other"].reason


def test_another_distribution_can_t_take_a_built_in_name(declared):
    declared.append(Point("cuda", OtherBackend))

    with pytest.raises(ValueError, match=r"elsewhere:Backend.*'cuda'"):
        registry.names()


def test_nothing_is_imported_until_asked_for():
    program = (
        "import sys\n"
        "from trnbench.backends import registry\n"
        "registry.names()\n"
        "print(sorted(n for n in sys.modules if n.startswith('trnbench.backends.')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "['trnbench.backends.protocol', 'trnbench.backends.registry']"
