"""What a child records of the call that it is handed, on a device that compiles at will."""

from __future__ import annotations

import os

import pytest
import torch

from trnbench.backends.cpu import CpuBackend
from trnbench.bench import fixture_child
from trnbench.bench.fixture_child import FixtureChild
from trnbench.bench.fixture_messages import FixtureAnswer, FixtureJob
from trnbench.bench.messages import SettingsData


class CountingBackend(CpuBackend):
    """The CPU, with a compiler that only counts: two graphs in the first call, ``hits`` of them
    found in a cache. What was compiled before the call is none of its own."""

    def __init__(self, hits):
        self.hits = hits
        self.counts = {"graphs_compiled": 5, "cache_hits": 3}

    def start(self, settings):
        pass

    def refusal(self, dtype, mode):
        return None

    def compiler(self):
        def compile_(function):
            def call(*inputs):
                self.counts = {"graphs_compiled": 7, "cache_hits": 3 + self.hits}
                return function(*inputs)

            return call

        return compile_

    def counters(self):
        return self.counts


@pytest.mark.parametrize(
    ("mode", "hits", "graphs", "cache"),
    [("compiled", 0, 2, "cold"), ("compiled", 1, 2, "warm"), ("eager", 0, None, None)],
)
def test_a_compiled_call_says_how_many_graphs_and_from_where(
    monkeypatch, tmp_path, mode, hits, graphs, cache
):
    backend = CountingBackend(hits)
    monkeypatch.setattr(fixture_child.registry, "create", lambda _: backend)
    job = FixtureJob(
        node="test_own.py::test_sum",
        nodeid="test_own.py::test_sum",
        configuration="default",
        params={},
        answer=str(tmp_path / "answer.json"),
        process=0,
        position=0,
        budget_s=0.02,
        settings=SettingsData(threads=None, device_index=0, allow_tf32=False),
        load=[],
        backends=[],
        dtypes=[],
        modes=[],
        parent=os.getpid(),
    )
    ones = torch.ones(2)
    value = FixtureChild(job).measure(torch.add, [ones, ones], None, "fp32", mode, None)
    assert value.tolist() == [2, 2]
    answer = FixtureAnswer.model_validate_json((tmp_path / "answer.json").read_bytes())
    assert answer.outcome.sustained is not None
    assert (answer.outcome.graphs_compiled, answer.outcome.cache_state) == (graphs, cache)
