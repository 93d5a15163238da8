"""The CPU backend, and the toolchain that its compiled mode needs."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
import torch

from trnbench.backends import graphs, threads, toolchain
from trnbench.backends.cpu import CpuBackend
from trnbench.backends.installation import read_constants, read_torch_build
from trnbench.backends.protocol import Settings


@pytest.fixture
def tools(monkeypatch):
    """The commands on PATH, and whether Python.h is there."""
    present = {"g++": "/usr/bin/g++"}
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(toolchain.shutil, "which", present.get)
    monkeypatch.setattr(toolchain.sys, "platform", "linux")
    monkeypatch.setattr(toolchain, "find_python_header", object)
    return present


def test_compiled_can_be_tried_with_a_compiler_and_headers(tools):
    assert CpuBackend().refusal("fp32", "compiled") is None


def test_without_a_compiler_compiled_says_what_to_install(tools):
    tools.clear()
    refusal = CpuBackend().refusal("fp32", "compiled")

    assert "g++ is not on PATH" in refusal.reason
    assert "g++ python3-dev" in refusal.mend
    assert CpuBackend().refusal("fp32", "eager") is None


def test_another_compiler_that_is_there_is_named(tools):
    """Inductor does not look for clang++ on Linux by itself."""
    tools.clear()
    tools["clang++"] = "/usr/bin/clang++"

    assert CpuBackend().refusal("fp32", "compiled").mend == "set CXX=clang++"


def test_a_variable_that_names_no_compiler_is_named(tools, monkeypatch):
    monkeypatch.setenv("CXX", "icpx")
    refusal = CpuBackend().refusal("fp32", "compiled")

    assert "CXX names 'icpx'" in refusal.reason
    assert "unset CXX" in refusal.mend


def test_without_python_s_headers_compiled_says_what_to_install(tools, monkeypatch):
    monkeypatch.setattr(toolchain, "find_python_header", lambda: None)
    refusal = CpuBackend().refusal("fp32", "compiled")

    assert "Python.h" in refusal.reason
    assert "python3-dev" in refusal.mend


def test_the_cpu_is_available_without_a_compiler_and_says_so(tools):
    tools.clear()
    found = CpuBackend().availability()

    assert found.available
    assert "no compiled mode" in found.reason
    assert "g++" in found.mend
    assert found.facts["compiled_mode"] is False


def test_threads_go_to_the_pools_of_a_worker_to_come():
    variables = {"OMP_NUM_THREADS": "7", "HOME": "x"}
    CpuBackend().prepare_environment(variables, Settings(threads=2))

    assert variables == {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "HOME": "x"}


def test_no_wish_changes_no_variable():
    variables = {"OMP_NUM_THREADS": "7"}
    CpuBackend().prepare_environment(variables, Settings())

    assert variables == {"OMP_NUM_THREADS": "7"}


def test_torch_uses_the_threads_asked_for():
    before = torch.get_num_threads()
    try:
        backend = CpuBackend()
        backend.start(Settings(threads=1))
        identity = backend.identity()
        now = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)

    assert now == 1
    assert identity.cores_used == 1
    assert identity.facts["threads"] == 1


@pytest.mark.parametrize("wanted", [0, -1, 4])
def test_threads_that_can_t_be_had_are_an_error(wanted):
    deaf = SimpleNamespace(set_num_threads=lambda n: None, get_num_threads=lambda: 2)

    with pytest.raises(RuntimeError, match=f"{wanted} threads asked for"):
        threads.set_threads(deaf, Settings(threads=wanted))


def test_a_cpu_is_in_no_catalog():
    identity = CpuBackend().identity()

    assert identity.chip is None
    assert "derived" in identity.chip_reason
    assert identity.facts["architecture"] == os.uname().machine
    assert identity.memory_bytes > 0


def test_a_refused_allocation_is_lack_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)

    assert CpuBackend().is_out_of_memory(caught.value)


def test_peak_memory_rises_with_what_is_held_and_falls_with_a_reset():
    backend = CpuBackend()
    backend.reset_peak_memory()
    start_bytes, note = backend.peak_memory_bytes()
    if start_bytes is None:
        assert "can't reset" in note
        return
    block = torch.ones(2**26)
    held_bytes, _ = backend.peak_memory_bytes()
    size = block.nbytes
    del block
    backend.reset_peak_memory()
    after_bytes, _ = backend.peak_memory_bytes()

    assert 0.9 * size < held_bytes - start_bytes < 1.5 * size
    assert after_bytes < held_bytes - 0.5 * size


def test_compilations_are_counted_without_importing_the_compiler(monkeypatch):
    monkeypatch.delitem(graphs.sys.modules, "torch._dynamo.utils", raising=False)
    assert graphs.count_compilations() == {
        "graphs_compiled": 0,
        "cache_hits": 0,
        "cache_misses": 0,
    }

    counters = {
        "stats": {"unique_graphs": 3, "calls_captured": 9},
        "inductor": {"fxgraph_cache_hit": 2, "fxgraph_cache_miss": 1},
    }
    fake = SimpleNamespace(counters=counters)
    monkeypatch.setitem(graphs.sys.modules, "torch._dynamo.utils", fake)
    assert graphs.count_compilations() == {
        "graphs_compiled": 3,
        "cache_hits": 2,
        "cache_misses": 1,
    }


def test_files_are_counted_only_in_a_cache_that_somebody_named(monkeypatch, tmp_path):
    entry = tmp_path / "fxgraph" / "ab" / "graph"
    entry.parent.mkdir(parents=True)
    entry.touch()

    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    common = CpuBackend()
    common.start(Settings())
    # What Inductor does at its first compilation: the common cache, which holds anybody's files.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    named = CpuBackend()
    named.start(Settings())

    assert (common.cache_files(), named.cache_files()) == (None, 1)


def test_what_torch_was_built_with_is_read_without_running_it():
    source = (
        "from typing import Optional\n"
        "__version__ = '2.13.0+cu130'\n"
        "debug = False\n"
        "cuda: Optional[str] = '13.0'\n"
        "hip: Optional[str] = None\n"
        "raise SystemExit\n"
    )

    assert read_constants(source) == {
        "__version__": "2.13.0+cu130",
        "debug": False,
        "cuda": "13.0",
        "hip": None,
    }
    assert read_torch_build()["__version__"] == torch.__version__
    assert read_torch_build()["cuda"] == torch.version.cuda
