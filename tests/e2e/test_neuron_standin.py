"""The real backend "neuron" on the device that stands in for a Trainium2: the contract of every
backend, kernels of known duration, and whole runs with each failure that the device can have."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "standin"))

from standin_installation import install  # noqa: E402
from standin_root import make_root  # noqa: E402

GELU = "elementwise[gelu-512x1024-fp32"
SOFTMAX = "softmax[512x1024-fp32"
SHORT = ("--processes", "1", "--budget", "0.05", "--threads", "1")
#: Whether a good case ends OK or NOT_STEADY is the machine's doing; both are measured to the end.
MEASURED = {"OK", "NOT_STEADY"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The package ``torch_neuronx`` laid out once; its variables."""
    return install(tmp_path_factory.mktemp("standin") / "site")


@pytest.fixture
def machine(site, tmp_path):
    """The environment of a machine with one idle device and an empty compile cache."""
    root = make_root(tmp_path / "root")
    return {**os.environ, **site, **root, "TORCH_NEURONX_NEFF_CACHE_DIR": str(tmp_path / "neff")}


def trnbench(folder, environment, *arguments, **variables):
    """``trnbench run`` on the backend, and the records that it left."""
    done = subprocess.run(
        [sys.executable, "-m", "trnbench", "run", "--backend", "neuron", *SHORT, *arguments],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    stored = sorted((folder / "results" / "runs").glob("*.jsonl"))
    lines = stored[-1].read_text().splitlines() if stored else []
    return done, [json.loads(line) for line in lines]


def only(records):
    (record,) = records
    (outcome,) = record["processes"]
    return record, outcome


# --------------------------------------------------------------------- the contract


@pytest.mark.slow
def test_the_contract_of_every_backend_holds_and_nothing_of_it_is_skipped(machine, tmp_path):
    report = tmp_path / "contract.xml"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("--contract-backend", "neuron", "-m", "slow or not slow"),
            *(f"--junitxml={report}", "tests/contract/test_backends.py"),
        ],
        cwd=TESTS.parent,
        env=machine,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:]
    (suite,) = ET.parse(report).getroot()
    found = {name: int(suite.get(name)) for name in ("tests", "skipped", "failures", "errors")}
    assert found == {"tests": found["tests"], "skipped": 0, "failures": 0, "errors": 0}
    on_the_device = [case for case in suite if "[neuron" in case.get("name")]
    assert len(on_the_device) >= 25


# --------------------------------------------------------------------- known kernels


@pytest.fixture(scope="module")
def known_kernel():
    """tests/experiments/known_kernel.py, which is no module of anything."""
    path = TESTS / "experiments" / "known_kernel.py"
    spec = importlib.util.spec_from_file_location("known_kernel", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_duration(found):
    assert [figures["duration_us"] for figures in found] == [100, 1000, 10_000]
    return found


def test_kernels_of_known_duration_are_timed_as_the_device_stamps_them(known_kernel, tmp_path):
    """Both clocks are of one process and the samples are the same ones: a ratio within a run."""
    found = by_duration(known_kernel.run(known_kernel.child_environment(tmp_path)))

    for figures in found:
        assert figures["stamped_kernel_ns"] == pytest.approx(
            figures["duration_us"] * 1000, rel=0.01
        )
        assert abs(figures["slope_error"]) <= 0.03, figures
        assert abs(figures["hand_over_error"]) <= 0.20, figures


def test_a_backend_that_does_not_wait_fails_that_by_a_wide_margin(known_kernel, tmp_path):
    environment = known_kernel.child_environment(tmp_path)
    found = by_duration(known_kernel.run(environment, "--without-synchronization"))

    for figures in found:
        assert figures["slope_error"] < -0.5, figures
        assert figures["hand_over_error"] < -0.5, figures
        assert figures["right"] is False


# --------------------------------------------------------------------- whole runs


def test_operators_are_measured_eager_and_compiled_and_marked_as_simulated(machine, tmp_path):
    done, records = trnbench(tmp_path, machine, GELU)

    assert {record["case"]["mode"] for record in records} == {"eager", "compiled"}
    assert {record["status"] for record in records} <= MEASURED, done.stdout
    assert {record["origin"] for record in records} == {"simulated"}
    for record in records:
        device, (outcome,) = record["device"], record["processes"]
        assert (device["name"], device["simulated"]) == ("simulated trn2", True)
        assert (device["chip"], device["cores_used"], device["driver"]) == (None, 2, "2.31.7.0")
        assert device["facts"]["mode"] == "LNC=2"
        assert device["facts"]["missing_names"] == ""
        assert not [roof for roof in record["roofs"] if roof["fraction"] is not None]
        assert outcome["fallbacks"] == []
        assert outcome["peak_memory_bytes"] >= 2 * 512 * 1024 * 4
        assert outcome["warmup_calls"] >= 3
        assert outcome["sustained"]["device_ns"] is None
        assert outcome["health"]["power_mean_percent_of_maximum"] == 12.75
        fuses = "MAY_FUSE" in outcome["flags"]
        assert fuses is (record["case"]["mode"] == "eager")
        assert str(tmp_path) not in json.dumps(record)
    assert "SIMULATED" in done.stdout


@pytest.mark.slow
def test_a_fresh_cache_is_cold_once_and_a_hit_is_proven_afterwards(machine, tmp_path):
    case = f"{GELU}-compiled"
    _, kept = trnbench(tmp_path, machine, case)
    _, fresh = trnbench(tmp_path, machine, case, "--cache", "fresh", "--processes", "2")

    (earlier,), (cold, warm) = kept[0]["processes"], fresh[0]["processes"]
    assert (earlier["cache_state"], earlier["cache_files_after"]) == ("cold", 1)
    assert (cold["cache_state"], cold["cache_hits"], cold["cache_files_before"]) == ("cold", 0, 0)
    assert (warm["cache_state"], warm["cache_hits"]) == ("warm", 1)
    assert cold["graphs_compiled"] == warm["graphs_compiled"] == 1
    assert cold["cache_files_after"] == warm["cache_files_before"] == warm["cache_files_after"] == 1
    assert cold["stack_compile_ns"] > 40_000_000
    assert warm["stack_compile_ns"] < cold["stack_compile_ns"]


@pytest.mark.slow
def test_each_eager_operator_is_a_program_that_is_compiled_once(machine, tmp_path):
    first = only(trnbench(tmp_path, machine, f"{GELU}-eager")[1])[1]
    again = only(trnbench(tmp_path, machine, f"{GELU}-eager")[1])[1]

    assert (first["cache_state"], again["cache_state"]) == ("cold", "warm")
    assert first["graphs_compiled"] == again["cache_hits"] >= 1


def test_a_program_that_is_compiled_anew_while_timing_is_no_result(machine, tmp_path):
    """Every sixtieth launch compiles anew, whether that is met in the warm-up or later."""
    done, records = trnbench(
        *(tmp_path, machine, f"{SOFTMAX}-eager", "--budget", "0.3"), STANDIN_FAIL="recompile:60"
    )

    record, _ = only(records)
    assert record["status"] == "RECOMPILED", record["failure"]
    assert "graphs_compiled" in record["failure"]["message"]
    assert done.returncode == 1


#: Name -> mode, what the device is told, the status wanted, and words of its message.
FAILURES = {
    "fallback": ("eager", {"STANDIN_FALLBACK_OPS": "aten::gelu"}, "FALLBACK_TO_CPU", "aten::gelu"),
    "memory": ("eager", {"STANDIN_FAIL": "oom:2"}, "OUT_OF_MEMORY", "memory"),
    "compile-memory": ("compiled", {"STANDIN_FAIL": "compile_oom"}, "OUT_OF_MEMORY", "NCC_EOOM001"),
    "operator": ("compiled", {"STANDIN_FAIL": "unsupported_op"}, "UNSUPPORTED", "NCC_EVRF001"),
    "numeric": ("eager", {"STANDIN_FAIL": "numeric"}, "NUMERIC_MISMATCH", "unbounded"),
    "execution": ("eager", {"STANDIN_FAIL": "exec_timeout:40"}, "TIMEOUT", "execution timeout"),
    "crash": ("eager", {"STANDIN_FAIL": "crash:40"}, "CRASHED", "SIGABRT"),
    "cores": ("eager", {"STANDIN_FAIL": "no_cores"}, "BUSY_DEVICE", "not available"),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.slow
def test_what_goes_wrong_on_the_device_is_a_typed_record(machine, tmp_path, name):
    mode, variables, status, words = FAILURES[name]
    done, records = trnbench(tmp_path, machine, f"{GELU}-{mode}", **variables)

    record, _ = only(records)
    assert record["status"] == status, record["failure"]
    assert words in record["failure"]["message"]
    assert record["origin"] != "measured"
    assert done.returncode == (0 if status == "UNSUPPORTED" else 1)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_kernel_that_never_ends_is_a_timeout_and_the_next_case_goes_on(machine, tmp_path):
    shutil.copy(Path(__file__).with_name("impatient.py"), tmp_path)
    _, records = trnbench(
        *(tmp_path, machine, f"{GELU}-eager", "--load", "impatient", "--timeout", "6"),
        STANDIN_FAIL="hang:40",
    )

    record, _ = only(records)
    assert record["status"] == "TIMEOUT"


def test_a_device_on_which_somebody_else_works_is_busy_and_left_alone(machine, tmp_path):
    make_root(tmp_path / "root", owners=(1,))  # the init process is always there
    done, records = trnbench(tmp_path, machine, f"{GELU}-eager")

    record, _ = only(records)
    assert record["status"] == "BUSY_DEVICE"
    # A record names no process: it is one paste away from being public.
    assert record["failure"]["message"] == "1 other process holds cores of device 0"
    assert record["summary"] is None
    assert done.returncode == 1


@pytest.mark.slow
def test_other_cores_and_their_size_reach_the_device(machine, tmp_path):
    case = f"{SOFTMAX}-eager"
    _, records = trnbench(tmp_path, machine, case, "--cores", "2-3", "--lnc", "1")

    record, _ = only(records)
    facts = record["device"]["facts"]
    assert (record["device"]["cores_used"], facts["mode"]) == (1, "LNC=1")
    assert facts["visible_cores"] == "2-3"


@pytest.mark.parametrize("variable", ["NEURON_LAUNCH_BLOCKING", "NEURON_EXTRACT_GRAPHS_ONLY"])
def test_a_variable_that_rules_measuring_out_is_a_usage_error(machine, tmp_path, variable):
    done, records = trnbench(tmp_path, machine, f"{GELU}-eager", **{variable: "1"})

    assert done.returncode == 4
    assert f"{variable}=1" in done.stderr
    assert "unset it" in done.stderr
    assert records == []


def test_without_a_device_the_backend_is_refused_with_what_is_missing(machine, tmp_path):
    make_root(tmp_path / "root", devices=0)
    done, records = trnbench(tmp_path, machine, f"{GELU}-eager")

    assert done.returncode == 4
    assert "no Neuron device" in done.stderr
    assert records == []


def test_without_the_stack_the_backend_is_refused_with_how_to_install_it(machine, tmp_path):
    del machine["PYTHONPATH"]
    done, records = trnbench(tmp_path, machine, f"{GELU}-eager")

    assert done.returncode == 4
    assert "torch-neuronx is not installed" in done.stderr
    assert "pip install" in done.stderr
    assert records == []
