"""A real, tiny ceiling of this machine's processor, measured by a worker process."""

from __future__ import annotations

import json
import sys

import pytest

from trnbench.backends import registry
from trnbench.backends.protocol import Settings
from trnbench.bench.ceiling import find_ceiling, load_ceiling, measure_ceiling
from trnbench.bench.ceiling_process import CeilingFailedError, run_sweep
from trnbench.bench.ceiling_sweep import Effort, SweepJob
from trnbench.bench.messages import SettingsData
from trnbench.models.family import DTYPES

TINY = Effort(
    processes=1,
    glance_s=0.002,
    look_s=0.01,
    max_call_s=0.2,
    dtype_s=1.0,
    transfer_s=0.01,
    set_s=2.0,
    near=1.2,
)
SETS = [2**19, 2**20, 2**26]


def make_job(**changes):
    job = SweepJob(
        backend="cpu",
        settings=SettingsData(threads=1, device_index=0, allow_tf32=False),
        effort=TINY,
        dtypes=list(DTYPES),
        shapes=[(128, 64, 96), (256, 256, 256)],
        working_sets=SETS,
    )
    return job.model_copy(update=changes)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    lines = []
    ceiling = measure_ceiling(
        "cpu", Settings(threads=1), out, quick=True, progress=lines.append, job=make_job()
    )
    return ceiling, out, lines


def test_figures_are_plausible_in_base_units(measured):
    ceiling, _, _ = measured
    assert set(ceiling.matmul) == set(DTYPES)
    for best in ceiling.matmul.values():
        # One core: between a megaflop and what no core of this decade does.
        assert 1e6 < best.flops_per_s < 1e14
        assert sorted(best.shape) in ([64, 96, 128], [256, 256, 256])
        assert best.operator
    assert [point.working_set_bytes for point in ceiling.bandwidth] == SETS
    for point in ceiling.bandwidth:
        rate, _ = point.best
        assert 1e7 < rate < 1e13
        assert point.operators
    assert 1e-8 < ceiling.dispatch_s < 1e-2
    assert ceiling.clock_hz is None or 2e8 < ceiling.clock_hz < 1e10
    assert ceiling.threads == 1


def test_a_cache_is_not_slower_than_main_memory(measured):
    ceiling, _, _ = measured
    small, _, large = (point.best[0] for point in ceiling.bandwidth)
    # Disturbance may halve a figure; a wrong count of bytes or of dispatch would do more.
    assert small > large / 2


def test_it_is_stored_beside_the_results_and_found_again(measured):
    ceiling, out, _ = measured
    (path,) = out.iterdir()
    assert path.name == f"ceiling-cpu-{ceiling.machine}-t1.json"
    assert load_ceiling(path) == ceiling
    assert find_ceiling(out, ceiling.machine, "cpu", 1, ceiling.torch) == ceiling


def test_progress_names_each_part(measured):
    _, _, lines = measured
    for part in ("process 1 of 1: dispatch", "bf16 matmul", "3 working sets from 512 KiB"):
        assert any(part in line for line in lines)


def test_the_parent_imports_no_torch(tmp_path):
    import subprocess

    code = (
        "import sys, trnbench.bench.ceiling, trnbench.bench.ceiling_table\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, check=False)
    assert done.returncode == 0


def test_a_worker_that_fails_is_one_message_with_its_last_words():
    with pytest.raises(CeilingFailedError, match=r"exit status 1.*0 threads asked for") as caught:
        run_sweep(
            registry.create("cpu"),
            Settings(),
            make_job(settings=SettingsData(threads=0, device_index=0, allow_tf32=False)),
            lambda _: None,
        )
    assert "\n" not in str(caught.value)


def test_a_dtype_that_is_too_slow_is_left_out_and_said():
    job = make_job(
        effort=TINY.model_copy(update={"max_call_s": 1e-9}),
        dtypes=["fp32"],
        working_sets=[2**20],
    )
    sweep = run_sweep(registry.create("cpu"), Settings(threads=1), job, lambda _: None)
    assert sweep.matmuls == []
    (reason,) = sweep.skipped
    assert "fp32 matmul: larger products: over 1e-09 s a call" in reason
    assert json.loads(sweep.model_dump_json())["transfers"]
