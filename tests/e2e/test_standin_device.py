"""The stand-in for a Neuron device keeps its promises: a test on it is worth what they are.

A device is registered once per process and for good, so every program here runs in a process of
its own, with the stand-in laid out for it in a temporary folder.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

STANDIN = Path(__file__).parents[1] / "standin"
sys.path.insert(0, str(STANDIN))

import standin_checks  # noqa: E402
import standin_families  # noqa: E402
import standin_operators  # noqa: E402
from standin_installation import install, make_root  # noqa: E402

FAMILIES = [name for name, *_ in standin_families.entries()]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Environment variables of a process that has the stand-in installed."""
    return install(tmp_path_factory.mktemp("standin") / "site")


@pytest.fixture(scope="module")
def launcher(site, tmp_path_factory):
    environment = {**os.environ, **site, "STANDIN_COMPILE_MS": "0", "STANDIN_GRAPH_COMPILE_MS": "0"}
    process = subprocess.Popen(
        [sys.executable, str(STANDIN / "standin_launcher.py")],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    process.stdout.close()


@pytest.fixture
def run(launcher, tmp_path):
    """Run a program on the stand-in, with its own empty compile cache."""

    def start(program, **settings):
        request = {
            "program": program,
            "settings": {"TORCH_NEURONX_NEFF_CACHE_DIR": str(tmp_path / "neff_cache"), **settings},
            "stdout": str(tmp_path / "stdout"),
            "stderr": str(tmp_path / "stderr"),
        }
        print(json.dumps(request), file=launcher.stdin, flush=True)
        status = int(launcher.stdout.readline())
        return subprocess.CompletedProcess(
            program,
            status,
            (tmp_path / "stdout").read_text(),
            (tmp_path / "stderr").read_text(),
        )

    return start


def outcomes(name, site, folder, **settings):
    environment = {
        **os.environ,
        **site,
        "TORCH_NEURONX_NEFF_CACHE_DIR": str(folder),
        "STANDIN_COMPILE_MS": "0",
        "STANDIN_GRAPH_COMPILE_MS": "0",
        **settings,
    }
    command = [sys.executable, str(STANDIN / f"{name}.py")]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def operators(site, tmp_path_factory):
    return outcomes("standin_operators", site, tmp_path_factory.mktemp("neff"))


@pytest.fixture(scope="module")
def families(site, tmp_path_factory):
    return outcomes("standin_families", site, tmp_path_factory.mktemp("neff"))


@pytest.fixture(scope="module")
def checks(site, tmp_path_factory):
    return outcomes(
        "standin_checks",
        site,
        tmp_path_factory.mktemp("neff"),
        TORCH_NEURONX_METRICS_ENABLED="1",
        STANDIN_MEMORY_BYTES=str(64 * 2**20),
    )


def test_the_sweeps_below_are_not_empty():
    assert len(standin_operators.CASES) > 150
    assert len(FAMILIES) > 40
    assert len({name.partition("[")[0] for name in FAMILIES}) >= 12
    assert len(standin_checks.CHECKS) > 25


@pytest.mark.parametrize("name", standin_operators.CASES)
def test_computes_as_the_cpu_does(name, operators):
    assert operators[name] == ""


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.slow
def test_runs_the_workloads_of_the_quick_preset(name, families):
    assert families[name] == ""


@pytest.mark.parametrize("name", standin_checks.CHECKS)
def test_keeps_its_promise(name, checks):
    assert checks[name] == ""


# ---------------------------------------------------------------- loading
def test_without_autoloading_the_device_comes_with_its_package(site):
    def start(program):
        environment = {**os.environ, **site, "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
        return subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = start("import torch; torch.zeros(3, device='neuron')")
    assert "Expected one of cpu, cuda" in done.stderr
    done = start("import torch_neuronx, torch; print(torch.zeros(3, device='neuron').device)")
    assert done.stdout == "neuron:0\n", done.stderr


def test_the_package_may_be_imported_before_torch(site):
    done = subprocess.run(
        [sys.executable, "-c", "import torch_neuronx, torch; print(torch.neuron.device_count())"],
        env={**os.environ, **site},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "4\n", done.stderr


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"NEURON_RT_VISIBLE_CORES": "0"}, 1),
        ({"NEURON_RT_VISIBLE_CORES": "0-2"}, 3),
        ({"NEURON_RT_VISIBLE_CORES": "2,3", "NEURON_RT_NUM_CORES": "4"}, 2),
        ({"NEURON_RT_NUM_CORES": "2"}, 2),
        ({"NEURON_LOGICAL_NC_CONFIG": "1"}, 8),
        ({"NEURON_RT_VISIBLE_CORES": "first"}, 0),
        ({"TRNBENCH_NEURON_ROOT": "/nowhere"}, 0),
    ],
)
def test_counts_the_cores_that_are_visible(run, settings, count):
    program = "import torch; print(torch.neuron.device_count(), torch.neuron.is_available())"
    done = run(program, **settings)
    assert done.stdout == f"{count} {count > 0}\n", done.stderr


# ---------------------------------------------------------------- compile cache
COUNT = """
import json, torch, torch_neuronx
x = torch.ones(8, 8).to("neuron")
(x @ x).relu_()
torch.compile(lambda x: x.softmax(-1) + 1, backend="neuron")(x)
torch.neuron.synchronize()
print(json.dumps(torch_neuronx.metrics.get_compilation_metrics()))
"""


def test_a_second_process_finds_the_programs_of_the_first(run):
    def count(**settings):
        done = run(COUNT, TORCH_NEURONX_METRICS_ENABLED="1", **settings)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        return {name.partition(".")[2]: value for name, value in found.items()}

    first, second = count(STANDIN_GRAPH_COMPILE_MS="20"), count(STANDIN_GRAPH_COMPILE_MS="20")
    assert first["TotalCompilations"] == first["PersistentMisses"] == first["InMemoryMisses"] == 3
    assert first["CompilationTime"]["total_samples"] == 3
    assert first["CompilationTime"]["accumulator"] >= 20_000
    assert "PersistentHits" not in first
    assert second["PersistentHits"] == second["InMemoryMisses"] == 3
    assert "TotalCompilations" not in second
    assert "CompilationTime" not in second
    assert count(TORCH_NEURONX_DISABLE_NEFF_CACHE="1")["TotalCompilations"] == 3


def test_counts_nothing_unless_asked(run):
    done = run(COUNT)
    assert done.stdout == "{}\n", done.stderr


# ---------------------------------------------------------------- fallbacks
FALL_BACK = """
import torch, torch_neuronx, warnings
x = torch.arange(6.0).view(2, 3)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        y = x.to("neuron").cumsum(1) + 1
assert torch.equal(y.cpu(), x.cumsum(1) + 1), y
assert len([each for each in caught if "aten::cumsum" in str(each.message)]) == 1, caught
torch.neuron.synchronize()
assert torch_neuronx.get_executed_ops() == ["aten::add"], torch_neuronx.get_executed_ops()
print(torch_neuronx.get_fallback_ops())
torch_neuronx.clear_op_tracking()
print(torch_neuronx.get_fallback_ops())
values = torch.linalg.eig(torch.eye(3).to("neuron"))[0]
print(torch_neuronx.get_fallback_ops(), values.device)
"""


@pytest.mark.parametrize("disabled", ["0", "1"])
def test_operators_that_it_lacks_run_on_the_cpu_and_are_listed(run, disabled):
    done = run(
        FALL_BACK,
        STANDIN_FALLBACK_OPS="aten::cumsum,aten::linalg_eig",
        TORCH_NEURONX_DISABLE_FALLBACK_EXECUTION=disabled,  # governs failed compiles alone
    )
    assert done.stdout.splitlines() == [
        "['aten::cumsum']",
        "[]",
        "['aten::linalg_eig'] neuron:0",
    ], done.stderr


def test_a_failed_compile_falls_back_only_where_that_is_allowed(run):
    program = """
import torch, torch_neuronx
x = torch.ones(2, 2).to("neuron")
print((x @ x).cpu().tolist(), torch_neuronx.get_fallback_ops())
"""
    failing = {"STANDIN_FAIL": "unsupported_op:aten::mm"}
    allowed = run(program, TORCH_NEURONX_DISABLE_FALLBACK_EXECUTION="0", **failing)
    assert allowed.stdout == "[[2.0, 2.0], [2.0, 2.0]] ['aten::mm']\n", allowed.stderr
    for settings in ({}, {"TORCH_NEURONX_DISABLE_FALLBACK_EXECUTION": "1"}):
        refused = run(program, **failing, **settings)
        assert refused.returncode == 1
        assert "NCC_EVRF001" in refused.stderr


# ---------------------------------------------------------------- failures on request
TOUCH = """
import torch
x = torch.ones(4, 4).to("neuron")
for _ in range(3):
    x = x + 1
torch.neuron.synchronize()
print("done", x.cpu().isnan().any().item())
"""
GRAPH = """
import torch
f = torch.compile(lambda x: x * 2 + 1, backend="neuron", fullgraph=True, dynamic=False)
print(f(torch.ones(4).to("neuron")).cpu())
"""


@pytest.mark.parametrize(
    ("failure", "program", "words"),
    [
        ("no_cores", TOUCH, "Logical Neuron Core(s) not available - Requested:1 Available:0"),
        ("init_status_1", TOUCH, "Failed to initialize Neuron Runtime: status code 1"),
        ("oom:3", TOUCH, "Failed to allocate 0.062KB (usage: tensors) on ND 0:NC 0"),
        ("compile_oom", TOUCH, "[NCC_EOOM001] The combined memory needed"),
        ("compile_oom:aten::add", TOUCH, "[NCC_EOOM001] The combined memory needed"),
        ("unsupported_op", TOUCH, "[NCC_EVRF001]"),
        ("exec_timeout:2", TOUCH, "execution timeout ("),
        ("compile_oom", GRAPH, "[NCC_EOOM001] The combined memory needed"),
        ("unsupported_op:graph", GRAPH, "[NCC_EVRF001]"),
        ("exec_timeout", GRAPH, "execution timeout ("),
        ("oops", TOUCH, "there is no failure 'oops'"),
    ],
)
def test_fails_in_the_documented_words(run, failure, program, words):
    done = run(program, STANDIN_FAIL=failure)
    assert done.returncode == 1
    assert words in done.stderr
    assert "RuntimeError" in done.stderr or "BackendCompilerFailed" in done.stderr
    assert done.stdout == ""


def test_a_failure_reaches_no_other_operator(run):
    for failure in (
        "compile_oom:aten::mm",
        "exec_timeout:9",
        "oom:99",
        "crash:9",
        "numeric:aten::mm",
    ):
        done = run(TOUCH, STANDIN_FAIL=failure)
        assert done.stdout == "done False\n", done.stderr


def test_an_error_of_queued_work_surfaces_once_at_the_next_synchronisation(run):
    program = """
import torch
x = torch.ones(4).to("neuron")
y = x + 1
z = y + 1
print("queued")
try:
    torch.neuron.synchronize()
except RuntimeError as error:
    print("execution timeout (" in str(error))
torch.neuron.synchronize()
print((x + 5).cpu().tolist())
"""
    done = run(program, STANDIN_FAIL="exec_timeout")
    assert done.stdout.splitlines() == ["queued", "True", "[6.0, 6.0, 6.0, 6.0]"], done.stderr


def test_answers_nan_on_request(run):
    done = run(TOUCH, STANDIN_FAIL="numeric:aten::add")
    assert done.stdout == "done True\n", done.stderr


def test_crashes_on_request(run):
    done = run(TOUCH, STANDIN_FAIL="crash:2")
    assert done.returncode == -signal.SIGABRT
    assert done.stdout == ""


def test_hangs_on_request_and_lets_the_process_end(run):
    program = """
import torch, threading, os
x = torch.ones(4).to("neuron")
(x + 1, x + 2)
print("queued", flush=True)
waiting = threading.Thread(target=torch.neuron.synchronize, daemon=True)
waiting.start()
waiting.join(0.3)
print("still waiting" if waiting.is_alive() else "done", flush=True)
"""
    done = run(program, STANDIN_FAIL="hang")
    assert done.stdout.splitlines() == ["queued", "still waiting"], done.stderr
    assert done.returncode == 0


def test_compiles_anew_on_request(run):
    program = """
import torch, torch_neuronx
count = lambda: (torch.neuron.synchronize(),
    torch_neuronx.metrics.get_counter_value("CompilationCache.TotalCompilations"))[1]
x = torch.ones(4).to("neuron")
x + 1
counts = [count()]
for _ in range(10):
    x + 1
    counts.append(count())
f = torch.compile(lambda x: x * 2, backend="neuron")
f(x)
for _ in range(5):
    f(x)
print(counts, count() > counts[-1] + 1)
"""
    done = run(program, STANDIN_FAIL="recompile:4", TORCH_NEURONX_METRICS_ENABLED="1")
    assert done.stdout == "[1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3] True\n", done.stderr


def test_blocks_on_request(run):
    program = """
import torch
from torch_neuronx import standin
x = torch.ones(4).to("neuron")
for _ in range(3):
    standin.busy(x, 2000)
    assert standin.pending() == 0
print(len(standin.take_stamps()))
"""
    done = run(program, NEURON_LAUNCH_BLOCKING="1")
    assert done.stdout == "3\n", done.stderr


def test_an_idle_device_takes_as_long_to_start_as_it_is_told(run):
    program = """
import torch
from torch_neuronx import standin
x = torch.ones(4).to("neuron")
for _ in range(3):
    standin.busy(x, 100)
    torch.neuron.synchronize()
print(all(s.begin_ns - s.enqueued_ns >= 2_000_000 for s in standin.take_stamps()))
"""
    done = run(program, STANDIN_LAUNCH_US="2000")
    assert done.stdout == "True\n", done.stderr


# ---------------------------------------------------------------- the machine around it
def list_devices(root, *flags):
    tool = root / "opt/aws/neuron/bin/neuron-ls"
    return subprocess.run([str(tool), *flags], capture_output=True, text=True, check=False)


def test_the_root_has_the_documented_layout(tmp_path):
    root = tmp_path / "root"
    assert make_root(root, devices=2) == {"TRNBENCH_NEURON_ROOT": str(root)}
    assert sorted(path.name for path in (root / "dev").iterdir()) == ["neuron0", "neuron1"]
    device = root / "sys/devices/virtual/neuron_device/neuron1"
    values = {
        "core_count": "8",
        "info/architecture/arch_type": "NDv4",
        "info/architecture/device_name": "Trainium2",
        "info/architecture/instance_type": "Trn2",
        "neuron_core7/stats/memory_usage/device_mem/tensors/present": "4096",
        "neuron_core7/stats/memory_usage/device_mem/present": "4096",
        "neuron_core0/stats/other_info/flop_count/total": "0",
    }
    for name, value in values.items():
        assert (device / name).read_text() == f"{value}\n", name
    status, _, least, most, mean = (device / "stats/power/utilization").read_text().split(",")
    assert status == "POWER_STATUS_VALID"
    assert float(least) <= float(mean) <= float(most) <= 100
    assert (root / "sys/module/neuron/version").read_text() == "2.31.7.0\n"


def test_neuron_ls_tells_what_is_there(tmp_path):
    root = tmp_path / "root"
    make_root(root, owners=(os.getpid(), 4194304))
    done = list_devices(root, "-j")
    (device,) = json.loads(done.stdout)
    assert (device["nc_count"], device["neuroncore_ids"]) == (4, [0, 1, 2, 3])
    assert device["logical_neuroncore_config"] == 2
    assert device["memory_size"] == 96 * 2**30
    holder, gone = device["neuron_processes"]
    assert holder["pid"] == os.getpid()
    assert "python" in holder["command"]
    assert gone["command"] == ""

    (root / "owners").write_text("")  # they have ended
    assert json.loads(list_devices(root, "--json-output").stdout)[0]["neuron_processes"] == []
    assert list_devices(root, "--badflag").stdout == "unknown flag `badflag'\n"

    (root / "dev/neuron0").unlink()
    done = list_devices(root, "-j")
    assert (done.returncode, done.stdout) == (1, "")


def test_the_root_can_differ_in_one_thing(tmp_path):
    make_root(tmp_path / "lnc", lnc=1)
    (device,) = json.loads(list_devices(tmp_path / "lnc", "-j").stdout)
    assert (device["nc_count"], device["logical_neuroncore_config"]) == (8, 1)
    make_root(tmp_path / "none", devices=0, driver="")
    assert list((tmp_path / "none/dev").iterdir()) == []
    assert not (tmp_path / "none/sys/module/neuron/version").exists()
    make_root(tmp_path / "inf2", device_name="Inferentia2", instance_type="Inf2", cores=2, lnc=1)
    device = tmp_path / "inf2/sys/devices/virtual/neuron_device/neuron0"
    assert (device / "core_count").read_text() == "2\n"
    assert (device / "info/architecture/arch_type").read_text() == "NDv3\n"
