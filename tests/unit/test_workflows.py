"""The workflow, the job, the container and the scripts of deploy/: their structure, and what the
scripts do as far as that needs no Neuron machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path

import pytest
import yaml

from trnbench.backends import registry
from trnbench.specs.catalog import load_catalog

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted([*DEPLOY.glob("*.sh"), *DEPLOY.glob("*.sbatch")])
CI = DEPLOY / "neuron_ci.sh"

#: What each family can run: torch-neuronx 2.9 is the XLA stack, later ones are native.
FAMILIES = {"trn1": {"2.9"}, "inf2": {"2.9"}, "trn2": {"2.13", "2.14"}, "trn3": {"2.13", "2.14"}}


def read_workflow(path):
    # YAML 1.1 takes the key "on" for true.
    found = yaml.safe_load(path.read_text())
    return {("on" if key is True else key): value for key, value in found.items()}


@pytest.fixture(scope="module")
def neuron():
    return read_workflow(ROOT / ".github" / "workflows" / "neuron.yml")


@pytest.fixture(scope="module")
def measure(neuron):
    return neuron["jobs"]["measure"]


def combinations(job):
    """(machine, torch) of every job of the matrix, where all machines are asked for."""
    matrix = job["strategy"]["matrix"]
    all_of_them = json.loads(re.search(r"'(\[.*?\])'", matrix["machine"]).group(1))
    left_out = [(row["machine"], row["torch"]) for row in matrix["exclude"]]
    return [pair for pair in product(all_of_them, matrix["torch"]) if pair not in left_out]


def test_there_are_workflows_and_scripts():
    assert {path.name for path in WORKFLOWS} >= {"ci.yml", "neuron.yml"}
    assert {path.name for path in SCRIPTS} >= {"neuron_ci.sh", "neuron.sbatch"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_workflow_asks_for_little_and_ends(path):
    workflow = read_workflow(path)

    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert workflow["concurrency"]["group"]
    assert workflow["jobs"]
    for job in workflow["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 360
        assert job.get("permissions", {"contents": "read"}) == {"contents": "read"}
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if "actions/checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_expression_is_pasted_into_a_shell(path):
    runs = [
        step["run"]
        for job in read_workflow(path)["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]

    assert runs
    assert not [run for run in runs if "${{" in run]


def test_the_matrix_is_each_family_with_what_it_can_run(measure):
    found = combinations(measure)

    assert len(found) == len(set(found))
    assert {m: {t for other, t in found if other == m} for m, _ in found} == FAMILIES
    # GitHub cancels the second of two jobs that wait in one group.
    assert max(sum(other == m for other, _ in found) for m in FAMILIES) <= 2


def test_every_exclusion_excludes_something(measure):
    matrix = measure["strategy"]["matrix"]
    rows = [(row["machine"], row["torch"]) for row in matrix["exclude"]]

    assert len(rows) == len(set(rows))
    assert set(rows) <= set(product(FAMILIES, matrix["torch"]))


def test_every_family_can_be_asked_for_by_name(neuron):
    options = neuron["on"]["workflow_dispatch"]["inputs"]["machine"]["options"]

    assert set(options) == {"all", *FAMILIES}


def test_a_machine_is_measured_by_one_job_at_a_time(neuron, measure):
    assert "matrix.machine" in measure["runs-on"][-1]
    assert measure["runs-on"][0] == "self-hosted"
    assert "matrix.machine" in measure["concurrency"]["group"]
    assert not measure["concurrency"]["cancel-in-progress"]
    assert not neuron["concurrency"]["cancel-in-progress"]
    assert not measure["strategy"]["fail-fast"]


def test_each_family_is_held_to_a_chip_of_the_catalog(neuron):
    chips = json.loads(neuron["env"]["CHIPS"])

    assert set(chips) == set(FAMILIES)
    assert set(chips.values()) <= set(load_catalog().chips)


def test_the_schedule_waits_for_nobody_where_there_is_no_machine(neuron, measure):
    assert neuron["on"]["schedule"]
    assert "vars.NEURON_MACHINES" in measure["if"]


def test_the_step_calls_the_script_with_variables_that_it_knows(measure):
    (step,) = [step for step in measure["steps"] if "run" in step]
    known = set(re.findall(r"TRNBENCH_[A-Z_]+", help_of(CI)))

    assert step["run"].split() == ["bash", CI.relative_to(ROOT).as_posix()]
    assert step["env"]
    assert set(step["env"]) <= known


def test_the_results_are_kept_however_the_measurement_ended(measure):
    step = measure["steps"][-1]

    assert step["uses"].startswith("actions/upload-artifact@")
    assert step["if"].startswith("always()")
    assert step["with"]["if-no-files-found"] == "error"
    # One name for each job: two artifacts of one name are an error.
    assert {"matrix.machine", "matrix.torch"} <= set(
        re.findall(r"matrix\.\w+", step["with"]["name"])
    )


# ---------------------------------------------------------------------- scripts


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_understood_by_the_shell_that_it_names(path):
    shell = path.read_text().splitlines()[0].removeprefix("#!").split()[-1].split("/")[-1]

    done = subprocess.run([shell, "-n", path], capture_output=True, text=True, check=False)

    assert (shell, done.returncode, done.stderr) in {("bash", 0, ""), ("sh", 0, "")}
    assert os.access(path, os.X_OK) or path.suffix == ".sbatch"


def help_of(script):
    return subprocess.run([script, "--help"], capture_output=True, text=True, check=True).stdout


def call(script, *arguments, shell="sh", **environment):
    """As cloud-init and Systems Manager call it: /bin/sh, next to no environment."""
    return subprocess.run(
        [shell, script, *arguments],
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bakend", "neuron"], "unknown option '--bakend'"),
        (["--backend"], "without a value"),
        (
            ["--backend", "neuron", "--torch", "2.9"],
            "torch-neuronx 2.9 is not for backend 'neuron'",
        ),
        (["--backend", "neuron-xla", "--torch", "2.14"], "wanted 2.13 or 2.14 for neuron"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_installed(tmp_path, arguments, said):
    done = call(CI, *arguments, TRNBENCH_ENVIRONMENT=str(tmp_path / "venv"), HOME=str(tmp_path))

    assert done.returncode == 4
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def fake_environment(folder, version):
    """An environment whose python knows one distribution of torch-neuronx and nothing else."""
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && echo {version}\n[ "$1" = -c ]\n')
    python.chmod(0o755)
    return folder


def test_an_environment_of_another_stack_is_left_alone(tmp_path):
    environment = fake_environment(tmp_path / "venv", "2.9.0.2.15.32035")

    done = call(CI, "--environment", str(environment), "--torch", "2.14", HOME=str(tmp_path))

    assert done.returncode == 2
    assert "holds torch-neuronx 2.9.0.2.15.32035, and 2.14 was asked for" in done.stderr


def test_an_environment_of_the_right_stack_is_taken(tmp_path):
    environment = fake_environment(tmp_path / "venv", "2.14.3.0")

    done = call(CI, "--environment", str(environment), "--torch", "2.14", HOME=str(tmp_path))

    # Its python is no pip: that far it comes.
    assert (done.returncode, "the installation failed" in done.stderr) == (2, True)


def test_what_is_called_has_a_home_and_the_neuron_tools(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "trnbench").write_text('#!/bin/sh\necho "$1|$HOME|$PATH" >> "$CALLS"\nexit 9\n')
    (tools / "trnbench").chmod(0o755)
    calls = tmp_path / "calls"
    found = []
    for home in ({}, {"HOME": "/nowhere"}, {"HOME": str(tmp_path)}):
        calls.unlink(missing_ok=True)
        call(
            CI,
            "--environment",
            "active",
            PATH=f"{tools}:{os.environ['PATH']}",
            CALLS=str(calls),
            TRNBENCH_OUT=str(tmp_path / "runs"),
            **home,
        )
        found += [line.split("|") for line in calls.read_text().splitlines()]

    assert len(found) >= 3
    assert all(Path(home).is_dir() for _, home, _ in found)
    assert found[-1][1] == str(tmp_path)
    assert all("/opt/aws/neuron/bin" in path.split(":") for _, _, path in found)


FAKE_TRNBENCH = """\
#!/bin/sh
IFS='|'
echo "$*" >> "$CALLS"
if [ "$1" = run ]; then
    while [ "$1" != --out ]; do shift; done
    [ "$NO_RUN" = 1 ] || echo "{}" > "$2/20261122T021733Z-4f2a9c.jsonl"
    exit "$RUN_CODE"
fi
[ "$1" != check ] || exit "$CHECK_CODE"
"""


@pytest.mark.parametrize(
    ("run_code", "check_code", "options", "wanted", "verdict"),
    [
        (0, 0, [], 0, "as asked for"),
        (0, 0, ["--strict"], 0, "as asked for"),
        (1, 0, [], 0, "as asked for, with failed cases"),
        (1, 1, ["--strict"], 1, "NOT as asked for"),
        (0, 1, [], 1, "NOT as asked for"),
        (1, 1, [], 1, "NOT as asked for"),
        (0, 4, [], 1, "NOT as asked for"),
        (2, 0, [], 1, "interrupted (code 2)"),
    ],
)
def test_how_the_run_and_its_check_make_the_exit_code(
    tmp_path, run_code, check_code, options, wanted, verdict
):
    done, calls = call_with_fake(
        tmp_path, *options, RUN_CODE=str(run_code), CHECK_CODE=str(check_code)
    )

    assert done.returncode == wanted
    assert f"=== {verdict} (" in done.stdout
    assert [line.split("|")[0] for line in calls] == ["doctor", "run", "check", "show"]
    assert ("--strict" in calls[2].split("|")) == ("--strict" in options)


def call_with_fake(tmp_path, *options, **environment):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "trnbench").write_text(FAKE_TRNBENCH)
    (tools / "trnbench").chmod(0o755)
    done = call(
        CI,
        "--environment",
        "active",
        *options,
        PATH=f"{tools}:{os.environ['PATH']}",
        CALLS=str(tmp_path / "calls"),
        HOME=str(tmp_path),
        TRNBENCH_OUT=str(tmp_path / "runs with spaces"),
        **environment,
    )
    return done, (tmp_path / "calls").read_text().splitlines()


def test_a_run_that_leaves_nothing_is_not_checked(tmp_path):
    done, calls = call_with_fake(tmp_path, RUN_CODE="4", CHECK_CODE="0", NO_RUN="1")

    assert done.returncode == 2
    assert [line.split("|")[0] for line in calls] == ["doctor", "run"]


def test_options_and_variables_reach_the_commands_that_they_are_for(tmp_path):
    _, calls = call_with_fake(
        tmp_path,
        *("--backend", "neuron", "--least-ok", "7", "--allow-simulated"),
        *("--", "matmul[", "--processes", "2"),
        TRNBENCH_DEVICE="trainium2",
        TRNBENCH_PRESET="standard",
        TRNBENCH_LABEL="a label",
        RUN_CODE="0",
        CHECK_CODE="0",
    )
    run, check = calls[1], calls[2]

    assert run.startswith("run|--backend|neuron|--preset|standard|--label|a label|--out|")
    assert run.endswith("|matmul[|--processes|2")
    assert check.endswith("|--backend|neuron|--least-ok|7|--device|trainium2|--allow-simulated")


RECORDER = """\
#!{python}
import json, os, sys
with open(os.environ["CALLS"], "a") as stream:
    print(json.dumps([sys.argv[0].rsplit("/", 1)[-1], *sys.argv[1:]]), file=stream)
"""


def record_calls(folder, *names):
    folder.mkdir()
    for name in names:
        path = folder / name
        path.write_text(RECORDER.format(python=sys.executable))
        path.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("backend", "torch", "wanted"),
    [
        ("neuron", "", {"torch-neuronx==2.14.*", "neuronx-cc==2.*", "nki>=0.7"}),
        ("neuron", "2.13", {"torch-neuronx==2.13.*", "neuronx-cc==2.*", "nki>=0.7"}),
        ("neuron-xla", "", {"torch-neuronx==2.9.0.2.15.32035", "neuronx-cc==2.26.6360.0"}),
    ],
)
def test_what_is_installed_is_bounded_and_comes_from_the_neuron_index(
    tmp_path, backend, torch, wanted
):
    calls = tmp_path / "calls"
    record_calls(tmp_path / "venv", "ignored")
    record_calls(tmp_path / "venv" / "bin", "python")

    done = call(
        CI,
        "--install-only",
        HOME=str(tmp_path),
        CALLS=str(calls),
        TRNBENCH_ENVIRONMENT=str(tmp_path / "venv"),
        TRNBENCH_BACKEND=backend,
        TRNBENCH_TORCH=torch,
    )

    assert done.returncode == 0, done.stderr
    (install,) = [
        row for row in map(json.loads, calls.read_text().splitlines()) if "install" in row
    ]
    indexes = [install[i + 1] for i, word in enumerate(install) if word == "--extra-index-url"]
    assert indexes == [
        "https://pip.repos.neuron.amazonaws.com",
        "https://download.pytorch.org/whl/cpu",
    ]
    assert f"{ROOT}[{backend}]" in install
    assert wanted | {"numpy!=2.1.*"} <= set(install)
    # The placeholders on the general index are releases of 1.0 and 0.0: an unbounded name takes
    # one where AWS's index can't be reached.
    neuron = [word for word in install if re.match(r"torch-neuronx|neuronx-cc|nki", word)]
    assert all(re.search("[=>]=", word) for word in neuron)


def test_the_extras_that_the_script_installs_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert {"neuron", "neuron-xla"} <= set(project["optional-dependencies"])


def test_the_packages_of_the_system_are_those_of_the_documentation(tmp_path):
    release = tmp_path / "os-release"
    release.write_text("ID=ubuntu\nVERSION_CODENAME=noble\n")
    script = DEPLOY / "neuron_packages.sh"

    without = call(script, "--dry-run", OS_RELEASE=str(release))
    driver = call(script, "--dry-run", "--driver", OS_RELEASE=str(release))

    assert (without.returncode, driver.returncode) == (0, 0)
    words = without.stdout.split()
    assert {"aws-neuronx-runtime-lib", "aws-neuronx-collectives", "aws-neuronx-tools"} <= {*words}
    assert "noble" in words
    assert "aws-neuronx-dkms" not in words
    assert "aws-neuronx-dkms" in driver.stdout.split()
    # A driver that was loaded before its update would stay.
    assert driver.stdout.index("aws-neuronx-dkms") < driver.stdout.index("modprobe neuron")


def test_packages_are_for_ubuntu_only(tmp_path):
    release = tmp_path / "os-release"
    release.write_text('ID=amzn\nPRETTY_NAME="Amazon Linux 2023"\n')

    done = call(DEPLOY / "neuron_packages.sh", "--dry-run", OS_RELEASE=str(release))

    assert done.returncode == 2
    assert "this is Amazon Linux 2023; wanted Ubuntu" in done.stderr
    assert done.stdout == ""


# ---------------------------------------------------------------------- launch recipes


@pytest.fixture
def checkout(tmp_path):
    """A folder with deploy/, in which the script for CI only says how it was called."""
    folder = tmp_path / "checkout"
    (folder / "deploy").mkdir(parents=True)
    script = folder / "deploy" / "neuron_ci.sh"
    script.write_text(
        'echo "$PWD|$*|$HOME|$TRNBENCH_BACKEND|$TRNBENCH_DEVICE"; exit "${CODE:-0}"\n'
    )
    return folder


def test_slurm_measures_in_the_checkout_with_a_whole_machine(tmp_path, checkout):
    copy = tmp_path / "slurm_script"  # Slurm runs a copy, from a folder of its own
    shutil.copy(DEPLOY / "neuron.sbatch", copy)
    directives = re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", copy.read_text(), re.MULTILINE)

    done = call(
        copy,
        "--preset",
        "full",
        shell="bash",
        SLURM_SUBMIT_DIR=str(checkout),
        TRNBENCH_BACKEND="neuron",
        TRNBENCH_DEVICE="trainium2",
        HOME="/h",
        CODE="1",
    )
    alone = call(copy, shell="bash")

    assert {"exclusive": "", "nodes": "1", "ntasks": "1", "mem": "0"}.items() <= {*directives}
    assert (done.returncode, done.stdout) == (
        1,
        f"{checkout}|--preset full|/h|neuron|trainium2\n",
    )
    assert alone.returncode != 0
    assert "this is for sbatch" in alone.stderr


@pytest.mark.parametrize(("code", "off"), [("0", "yes"), ("1", "yes"), ("1", "no")])
def test_user_data_measures_as_root_without_home_and_says_how_it_ended(
    tmp_path, checkout, code, off
):
    commands = record_calls(tmp_path / "bin", "apt-get", "git", "shutdown", "modprobe")
    (checkout / "deploy" / "neuron_packages.sh").write_text('echo packages "$@"\n')
    calls, root, log = tmp_path / "calls", tmp_path / "var", tmp_path / "log"
    root.mkdir()
    checkout.rename(root / "checkout")

    done = call(
        DEPLOY / "neuron_user_data.sh",
        PATH=f"{commands}:{os.environ['PATH']}",
        CALLS=str(calls),
        ROOT=str(root),
        LOG=str(log),
        SWITCH_OFF=off,
        CODE=code,
    )

    assert done.returncode == int(code)
    assert f"trnbench: code {code}" in done.stdout
    # Where there is a device, there is its driver.
    driver = [] if Path("/dev/neuron0").exists() else ["packages --driver"]
    measured = f"{Path.cwd()}||/root|neuron|trainium2"
    assert log.read_text().splitlines()[-2:] == [*driver, measured][-2:]
    switched_off = ["shutdown", "-h", "now"] in map(json.loads, calls.read_text().splitlines())
    assert switched_off == (off == "yes")


def test_user_data_stops_at_the_first_failure(tmp_path, checkout):
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "apt-get").write_text("#!/bin/sh\nexit 7\n")
    (broken / "apt-get").chmod(0o755)
    root, log = tmp_path / "var", tmp_path / "log"
    root.mkdir()
    checkout.rename(root / "checkout")

    done = call(
        DEPLOY / "neuron_user_data.sh",
        PATH=f"{broken}:{os.environ['PATH']}",
        ROOT=str(root),
        LOG=str(log),
    )

    assert done.returncode == 7
    assert log.read_text() == ""


@pytest.fixture(scope="module")
def job():
    documents = list(yaml.safe_load_all((DEPLOY / "neuron_job.yaml").read_text()))
    return {document["kind"]: document for document in documents}


def test_the_job_asks_for_whole_devices_and_runs_once(job):
    spec = job["Job"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    resources = container["resources"]

    assert spec["backoffLimit"] == 0
    assert pod["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] > 0
    assert pod["automountServiceAccountToken"] is False
    # An extended resource can't be overcommitted: a request must be its limit.
    assert resources["requests"] == resources["limits"]
    assert resources["limits"]["aws.amazon.com/neuron"] >= 1
    assert "aws.amazon.com/neuroncore" not in resources["limits"]
    assert {row["key"] for row in pod["tolerations"]} == {"aws.amazon.com/neuron"}


def test_the_job_keeps_its_results_on_a_volume_that_it_claims(job):
    pod = job["Job"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,), (volume,) = container["volumeMounts"], pod["volumes"]

    assert mount["name"] == volume["name"]
    assert (
        volume["persistentVolumeClaim"]["claimName"]
        == (job["PersistentVolumeClaim"]["metadata"]["name"])
    )
    assert mount["mountPath"] == container_environment()["TRNBENCH_OUT"]


def test_the_job_hands_on_options_that_the_script_knows(job):
    (container,) = job["Job"]["spec"]["template"]["spec"]["containers"]
    options = [word for word in container["args"] if word.startswith("--")]

    assert options
    assert set(options) <= set(re.findall(r"--[a-z-]+", help_of(CI)))


# ---------------------------------------------------------------------- container


def instructions():
    """(instruction, argument) of the container file, continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", (DEPLOY / "Containerfile.neuron").read_text()).splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]


def container_environment():
    pairs = [argument.split() for word, argument in instructions() if word == "ENV"]
    return dict(pair.split("=", 1) for row in pairs for pair in row)


def test_the_container_is_built_from_what_is_in_the_checkout():
    copied = [argument.split()[:-1] for word, argument in instructions() if word == "COPY"]
    sources = [source for row in copied for source in row]

    assert sources
    assert not [source for source in sources if not list(ROOT.glob(source))]
    rooms = {"backends", "bench", "models", "specs", "results/*.py", "deploy"}
    assert rooms <= set(sources)


def test_the_container_has_everything_that_the_package_is_made_of(tmp_path):
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "packages"
    ]
    copied = {
        path
        for word, argument in instructions()
        if word == "COPY"
        for source in argument.split()[:-1]
        for found in ROOT.glob(source)
        for path in (found, *found.rglob("*"))
    }
    folders = [ROOT.joinpath(*name.split(".")[1:]) for name in packages]

    assert len(folders) > 3
    assert not [path for folder in folders for path in folder.glob("*.py") if path not in copied]


def test_the_container_finds_its_tools_and_never_installs_again():
    environment = container_environment()

    path = environment["PATH"].split(":")
    assert path[:2] == ["/opt/venv/bin", "/opt/aws/neuron/bin"]
    assert environment["TRNBENCH_ENVIRONMENT"] == "active"
    runs = [argument for word, argument in instructions() if word == "RUN"]
    assert len(runs) == 2
    for run in runs:
        done = subprocess.run(
            ["bash", "-n"], input=run, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert not [run for run in runs if "--driver" in run]


def test_the_backends_of_the_workflow_are_known_to_this_release():
    assert {"neuron", "neuron-xla"} <= set(registry.names())
