"""What is noted around the first call and the samples, on a device that tells what it is told."""

from __future__ import annotations

import pytest

from trnbench.backends.protocol import KnownFailure
from trnbench.backends.timing import run_back_to_back, time_loop
from trnbench.bench import findings
from trnbench.bench.findings import Finder
from trnbench.results.record import Status


class TellingBackend:
    """Answers with what the test says; compiles ``graphs`` in the first call and, where
    ``later`` is set, one more in the second."""

    name = "telling"
    may_fuse = False
    warmup_seconds = 0.0
    warmup_calls = 1

    def __init__(self, *, graphs=0, hits=0, misses=0, files=(None, None), later=False):
        self.made, self.hits, self.misses = graphs, hits, misses
        self.files = files
        self.later = later
        self.calls = 0
        self.log = []

    def __getattr__(self, name):
        def noted(*_):
            self.log.append(name)
            return {"health": {}, "split": {}}.get(name)

        return noted

    def counters(self):
        if not self.calls:
            return {"graphs_compiled": 3, "cache_hits": 1, "cache_misses": 1}
        graphs = 3 + self.made + (self.later and self.calls > 1)
        return {
            "graphs_compiled": graphs,
            "cache_hits": 1 + self.hits,
            "cache_misses": 1 + self.misses,
        }

    def compile_time_ns(self):
        return 5_000 + 1_000 * self.counters()["graphs_compiled"]

    def cache_files(self):
        return self.files[bool(self.calls)]

    def fallbacks(self):
        return ("aten::eig",) if self.calls else ()

    def peak_memory_bytes(self):
        return 7, "told"

    def device_memory_bytes(self):
        return 9, "told too"

    def time_sustained(self, call, calls):
        return time_loop(call, calls, run_back_to_back)

    time_isolated = time_sustained

    def call(self):
        self.calls += 1
        return self.calls


def first(mode="compiled", **told):
    backend = TellingBackend(**told)
    found = {}
    output = Finder(backend, mode, found).call_first(backend.call)
    assert output == 1
    assert found["first_call_ns"] > 0
    return backend, found


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({"graphs": 0}, "memory"),
        ({"graphs": 1}, "cold"),
        ({"graphs": 1, "misses": 1}, "cold"),
        ({"graphs": 1, "hits": 1}, "warm"),
        ({"graphs": 2, "hits": 1, "misses": 1}, "cold"),
        ({"graphs": 1, "files": (4, 4)}, "warm"),
        ({"graphs": 1, "files": (4, 5)}, "cold"),
        ({"graphs": 1, "files": (0, 0)}, "cold"),
        ({"graphs": 1, "files": (4, 4), "misses": 1}, "cold"),
    ],
)
def test_a_hit_is_proven_by_counters_or_by_files(told, state):
    _, found = first(**told)

    assert found["cache_state"] == state
    assert found["graphs_compiled"] == told["graphs"]
    assert found["cache_hits"] == told.get("hits", 0)
    assert (found["cache_files_before"], found["cache_files_after"]) == told.get(
        "files", (None, None)
    )


def test_an_eager_call_that_compiles_nothing_has_no_compile_figures():
    _, found = first(mode="eager")

    assert "graphs_compiled" not in found


def test_an_eager_call_that_compiles_its_kernels_says_so():
    _, found = first(mode="eager", graphs=4)

    assert found["graphs_compiled"] == 4


def test_the_device_is_waited_for_while_the_output_is_alive_and_fallbacks_are_cleared_before():
    backend, found = first()

    assert backend.log == ["reset_peak_memory", "clear_fallbacks", "synchronize"]
    assert found["fallbacks"] == ["aten::eig"]


def test_samples_carry_memory_of_allocator_and_device_and_the_stack_s_own_compile_time():
    backend = TellingBackend(graphs=2, later=True)
    found = {}
    finder = Finder(backend, "compiled", found)
    finder.call_first(backend.call)
    finder.sample(backend.call, 0.02, lambda _: None, seed=0)

    assert (found["peak_memory_bytes"], found["device_memory_bytes"]) == (7, 9)
    # Two graphs in the first call and one in the warm-up.
    assert found["stack_compile_ns"] == 3_000
    assert found["compile_ns"] <= found["first_call_ns"]
    assert found["status"][0] is Status.FALLBACK_TO_CPU


@pytest.mark.parametrize(("mode", "flags"), [("eager", ["MAY_FUSE"]), ("compiled", [])])
def test_operators_that_may_be_fused_are_flagged(mode, flags):
    backend = TellingBackend()
    backend.may_fuse = True
    found = {}
    finder = Finder(backend, mode, found)
    finder.call_first(backend.call)
    finder.sample(backend.call, 0.02, lambda _: None, seed=0)

    assert [flag for flag in found["flags"] if flag == "MAY_FUSE"] == flags


def test_what_a_stack_says_is_explained_and_still_told():
    backend = TellingBackend()
    backend.explain = lambda text: (
        KnownFailure("NRT 4", "OUT_OF_MEMORY", "device memory is full", "a smaller batch")
        if "ND 0" in text
        else None
    )

    status, failure = findings.explained(backend, "Failed to allocate 2GB on ND 0:NC 0")

    assert status is Status.OUT_OF_MEMORY
    assert "Failed to allocate 2GB" in failure.message
    assert failure.message.startswith("device memory is full (NRT 4)")
    assert failure.mend == "a smaller batch"
    assert findings.explained(backend, "all is well") is None
