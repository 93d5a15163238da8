"""deploy/neuron_ci.sh, as a workflow's step runs it: on the CPU, and on the stand-in for a
native Neuron device."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "neuron_ci.sh"
sys.path.insert(0, str(ROOT / "tests" / "standin"))

from standin_installation import install  # noqa: E402
from standin_root import make_root  # noqa: E402

from trnbench.backends.processor import read_cpu  # noqa: E402

pytestmark = pytest.mark.slow

CPU = read_cpu()["model_name"] or read_cpu()["architecture"]

#: One small case, measured shortly. Whether it is steady is the machine's doing: several are
#: taken, and one that is OK is enough.
FEW = (
    "--",
    "matmul[square-512-fp32-eager",
    "matmul[square-512-bf16-eager",
    "memory[copy-384KiB-fp32-eager",
)
SHORT = ("--processes", "1", "--budget", "0.1", "--threads", "1")


#: A workload whose output is another one on the device than in float64 on the host.
WRONG = """
import torch

from trnbench import bench_case


@bench_case(name="wrong", params={"one": {"n": 16}})
def wrong(params, dtype, seed):
    return lambda x: x + (1.0 if x.dtype == torch.float64 else 1.1), (torch.ones(16, 16),)
"""


class Machine:
    """A runner: what the script finds there, and what it leaves for GitHub."""

    def __init__(self, folder, **environment):
        self.folder = folder
        self.environment = environment
        self.step_summary = folder / "step_summary.md"
        self.step_output = folder / "step_output"

    def measure(self, *options, cases=FEW, **environment):
        """Called by /bin/sh without HOME, as Systems Manager does."""
        return subprocess.run(
            ["sh", SCRIPT, "--environment", "active", *options, *cases, *SHORT],
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "GITHUB_STEP_SUMMARY": str(self.step_summary),
                "GITHUB_OUTPUT": str(self.step_output),
                "TRNBENCH_OUT": str(self.folder / "runs"),
                **self.environment,
                **environment,
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    @property
    def outputs(self):
        return dict(line.split("=", 1) for line in self.step_output.read_text().splitlines())

    @property
    def records(self):
        lines = Path(self.outputs["run"]).read_text().splitlines()
        return [json.loads(line) for line in lines]

    @property
    def summary(self):
        return self.step_summary.read_text()


@pytest.fixture
def host(tmp_path):
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def standin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("standin")
    environment = {**install(folder / "site"), **make_root(folder / "root")}
    return {name: value for name, value in environment.items() if value != os.environ.get(name)}


@pytest.fixture
def neuron(tmp_path, standin):
    return Machine(tmp_path, **standin)


def test_a_good_run_passes_and_leaves_its_records_and_a_summary(host):
    done = host.measure("--backend", "cpu", "--device", CPU)

    assert done.returncode == 0, done.stdout + done.stderr
    assert {record["case"]["backend"] for record in host.records} == {"cpu"}
    assert len(host.records) == 3
    run = Path(host.outputs["run"])
    assert run.parent == Path(host.outputs["folder"])
    assert not list(run.parent.glob("*.partial"))
    assert (run.parent / "summary.md").read_text() == host.summary
    # Markdown whose fences are closed, or GitHub shows the rest of the page as code.
    assert len(re.findall(r"^```", host.summary, re.MULTILINE)) % 2 == 0
    assert host.summary.startswith("## trnbench, backend cpu: as asked for")
    assert "square-512" in host.summary
    assert "check: what was asked for" in host.summary
    assert "HOME" in done.stderr


def test_another_device_than_the_one_wanted_fails(host):
    done = host.measure("--backend", "cpu", "--device", "trainium2")

    assert done.returncode == 1
    assert "NOT as asked for" in host.summary
    assert re.search(r"problem: device '.+' in 3 of 3 cases: .*; wanted 'trainium2'", host.summary)
    # The run itself is kept: it says what did answer.
    assert len(host.records) == 3


def test_too_few_good_cases_fail(host):
    done = host.measure("--backend", "cpu", "--device", CPU, "--least-ok", "4")

    assert done.returncode == 1
    assert "wanted at least 4" in host.summary


def test_an_empty_name_of_a_device_is_refused_before_anything_is_measured(host):
    done = host.measure("--backend", "cpu", "--device", "")

    assert (done.returncode, done.stdout) == (4, "")
    assert "--device '' given; wanted a chip" in done.stderr


@pytest.mark.parametrize("strict", [(), ("--strict",)], ids=["as ever", "strict"])
def test_a_case_that_failed_fails_the_script_where_it_is_strict(host, strict):
    (host.folder / "wrong_workload.py").write_text(WRONG)

    done = host.measure(
        *("--backend", "cpu", "--device", CPU, *strict),
        cases=(*FEW, "wrong[one-fp32-eager", "--load", "wrong_workload"),
        PYTHONPATH=str(host.folder),
    )

    statuses = [record["status"] for record in host.records]
    assert statuses.count("NUMERIC_MISMATCH") == 1
    assert "1 NUMERIC_MISMATCH" in host.summary
    assert done.returncode == len(strict), done.stdout + done.stderr
    problem = "problem: NUMERIC_MISMATCH in 1 of 4 cases: wrong[one-fp32-eager"
    assert (problem in host.summary) == bool(strict)
    verdict = "NOT as asked for" if strict else "as asked for, with failed cases"
    assert host.summary.startswith(f"## trnbench, backend cpu: {verdict}")


def test_a_run_that_timed_nothing_is_no_benchmark(host):
    """The script's own run is always timed: here its records are those of a coverage run."""
    tried = subprocess.run(
        [
            sys.executable,
            "-m",
            "trnbench",
            "coverage",
            "matmul[",
            "--dtype",
            "fp32",
            "--mode",
            "eager",
            "--backend",
            "cpu",
            "--out",
            str(host.folder / "tried"),
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "trnbench",
            "check",
            str(host.folder / "tried"),
            "--backend",
            "cpu",
            "--device",
            CPU,
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert tried.returncode == 0, tried.stderr
    assert checked.returncode == 1
    assert "problem: nothing was timed: it is a coverage run" in checked.stderr


def test_a_backend_that_can_t_run_here_measures_nothing_and_says_so(host):
    done = host.measure("--backend", "neuron", TRNBENCH_NEURON_ROOT=str(host.folder / "none"))

    assert done.returncode == 2
    assert "run" not in host.outputs
    assert "nothing was measured" in host.summary
    assert "backend 'neuron' can't run here" in host.summary
    assert len(re.findall(r"^```", host.summary, re.MULTILINE)) % 2 == 0
    assert "neuron" in (Path(host.outputs["folder"]) / "doctor.txt").read_text()


def test_the_stand_in_passes_where_it_is_meant_and_is_said_aloud(neuron):
    done = neuron.measure("--backend", "neuron", "--allow-simulated")

    assert done.returncode == 0, done.stdout + done.stderr
    assert {record["case"]["backend"] for record in neuron.records} == {"neuron"}
    assert {record["origin"] for record in neuron.records} == {"simulated"}
    assert {record["device"]["simulated"] for record in neuron.records if record["device"]} == {
        True
    }
    assert "SIMULATED" in neuron.summary


def test_the_stand_in_fails_where_a_real_device_is_meant(neuron):
    done = neuron.measure("--backend", "neuron")

    assert done.returncode == 1
    assert "a stand-in for hardware answered in 3 of 3 cases" in neuron.summary


def test_an_operator_that_falls_back_to_the_host_fails(neuron):
    done = neuron.measure(
        "--backend",
        "neuron",
        "--allow-simulated",
        cases=("--", "matmul[square-512-fp32-eager", "memory[copy-384KiB-fp32-eager"),
        STANDIN_FALLBACK_OPS="aten::mm",
    )

    assert done.returncode == 1
    assert "ran on the host" in neuron.summary
    assert "aten::mm" in neuron.summary
    assert {record["status"] for record in neuron.records} >= {"FALLBACK_TO_CPU"}
