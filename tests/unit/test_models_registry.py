from __future__ import annotations

import dataclasses

import pytest

from trnbench.models import registry
from trnbench.models.bounds import DEFAULT_BOUNDS, bound
from trnbench.models.family import Configuration, Family

MINE = Family(
    name="mine",
    summary="a user's workload",
    phase="forward",
    configurations=(Configuration("small", {"n": 4}),),
    program="mine:make_program",
    cost=None,
)


@pytest.fixture(autouse=True)
def none_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def registered() -> Family:
    registry.register(MINE)
    return MINE


def test_builtin_families_are_found_by_name():
    found = registry.builtin_families()

    assert len(found) == len(registry.BUILTIN_NAMES) > 0
    assert [registry.family(f.name) for f in found] == list(found)


def test_a_registered_family_comes_after_the_builtin_ones(registered: Family):
    assert registry.families() == (*registry.builtin_families(), registered)
    assert registry.family("mine") is registered
    assert registered not in registry.builtin_families()


def test_registering_the_same_family_again_changes_nothing(registered: Family):
    registry.register(dataclasses.replace(registered))

    assert registry.families().count(registered) == 1


def test_another_family_of_a_registered_name_is_refused(registered: Family):
    other = dataclasses.replace(registered, program="other:make_program")

    with pytest.raises(ValueError, match="'mine' is registered already, by mine:make_program"):
        registry.register(other)
    assert registry.family("mine") is registered


def test_a_builtin_name_is_refused():
    with pytest.raises(ValueError, match="'matmul' comes with trnbench"):
        registry.register(dataclasses.replace(MINE, name="matmul"))


def test_two_configurations_of_one_name_are_refused():
    twice = dataclasses.replace(MINE, configurations=MINE.configurations * 2)

    with pytest.raises(ValueError, match="two configurations named small"):
        registry.register(twice)
    with pytest.raises(KeyError):
        registry.family("mine")


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(KeyError, match=r"unknown workload 'matmull'; known: matmul, .*'matmul'"):
        registry.family("matmull")


def test_a_family_states_its_own_bound_or_has_the_default():
    strict = dataclasses.replace(MINE, error_bound={"bf16": 0.001})

    assert bound(strict, "bf16") == 0.001
    assert bound(strict, "fp32") == DEFAULT_BOUNDS["fp32"]
    assert bound(strict, "int8") == 0
    with pytest.raises(ValueError, match="no error bound for dtype 'fp8'"):
        bound(strict, "fp8")


def test_no_bound_lets_a_wrong_digit_through():
    # A model's gradients are rounded by every block, forward and backward; that what goes wrong in
    # kernels exceeds its bound all the same is part of the workloads' contract.
    operators = {"fp32": 1e-4, "bf16": 0.03, "fp16": 0.005, "int8": 0.0}
    models = {"fp32": 1e-4, "bf16": 0.1, "fp16": 0.02}
    bounds = [
        (f.name, d, bound(f, d), (models if f.footprint else operators)[d])
        for f in registry.builtin_families()
        for c in f.configurations
        for d in c.dtypes
    ]
    assert bounds

    assert [entry for entry in bounds if not 0 <= entry[2] <= entry[3]] == []
