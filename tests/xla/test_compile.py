"""``trnbench compile`` under a variable with which graphs are only collected, as
``neuron_parallel_compile`` sets it: filling caches works, and measuring is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def trnbench(folder, variable, command):
    return subprocess.run(
        [sys.executable, "-m", "trnbench", command, "softmax[", "--backend", "xla", "--dtype", "fp32"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {variable: "1"},
    )  # fmt: skip


@pytest.mark.parametrize("variable", ["NEURON_EXTRACT_GRAPHS_ONLY", "TORCH_NEURONX_COMPILE_ONLY"])
def test_where_graphs_are_only_collected_compiling_works_and_nothing_else(tmp_path, variable):
    compiled = trnbench(tmp_path, variable, "compile")
    measured = trnbench(tmp_path, variable, "run")

    assert compiled.returncode == 0, compiled.stderr
    assert "1 of 1 cases compiled; nothing was measured or recorded" in compiled.stdout
    assert measured.returncode == 4
    (line,) = measured.stderr.splitlines()
    assert f"{variable}=1" in line
    assert "unset it" in line
    assert measured.stdout == ""
    assert list(tmp_path.iterdir()) == []
