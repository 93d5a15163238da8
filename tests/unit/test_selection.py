"""Which modes of a backend a selection holds."""

from __future__ import annotations

import pytest

from trnbench.backends.protocol import Availability
from trnbench.bench import selection
from trnbench.bench.errors import UsageError
from trnbench.bench.options import RunOptions


class Lazy:
    name = "lazy-device"
    modes = ("lazy",)
    modes_on_request = ("traced",)
    claims_cores = False

    def availability(self):
        return Availability(available=True, reason="it is here")


@pytest.fixture(autouse=True)
def only_lazy(monkeypatch):
    monkeypatch.setattr(selection.backends, "names", lambda: ("lazy-device",))
    monkeypatch.setattr(selection.backends, "create", lambda _: Lazy())


class Claiming(Lazy):
    name = "claiming-device"
    claims_cores = True


@pytest.fixture
def several(monkeypatch):
    kinds = {kind.name: kind for kind in (Lazy, Claiming)}
    monkeypatch.setattr(selection.backends, "names", lambda: tuple(kinds))
    monkeypatch.setattr(selection.backends, "create", lambda name: kinds[name]())


@pytest.mark.parametrize(
    ("asked", "words"), [({"cores": "0-3"}, "--bench-cores 0-3"), ({"lnc": 1}, "--bench-lnc 1")]
)
def test_cores_that_nobody_would_claim_are_refused(several, asked, words):
    with pytest.raises(
        UsageError,
        match=f"{words} given, .*chosen: lazy-device.*leave it out, .*: claiming-device",
    ):
        selection.select(RunOptions(backends=("lazy-device",), **asked))


def test_cores_that_one_of_the_chosen_claims_are_taken(several):
    assert selection.select(RunOptions(cores="0-3", lnc=2))
    assert selection.select(RunOptions(backends=("claiming-device",), cores="0"))
    assert selection.select(RunOptions(backends=("lazy-device",)))


def modes(**asked):
    cases = selection.select(RunOptions(**asked))
    return {case.mode for case in cases}, cases


def test_a_mode_on_request_is_left_out_until_it_is_asked_for():
    found, cases = modes()

    assert found == {"lazy"}
    assert len(cases) > 20


def test_a_mode_on_request_is_of_inference_only():
    found, cases = modes(modes=("traced",))
    lazily = [case for case in modes()[1] if case.phase == "forward"]

    assert found == {"traced"}
    assert {case.phase for case in cases} == {"forward"}
    assert len(cases) == len(lazily)


def test_both_can_be_asked_for_together():
    found, _ = modes(modes=("traced", "lazy"))

    assert found == {"traced", "lazy"}


def test_a_mode_that_nobody_has_is_refused_with_what_there_is():
    with pytest.raises(UsageError, match="lazy-device has lazy, traced"):
        modes(modes=("compiled",))
