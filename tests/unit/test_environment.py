"""The environment of a run, and that nothing in it gives anybody away."""

from __future__ import annotations

import getpass
import re
import socket
import subprocess
from pathlib import Path

import pytest

from trnbench.bench import environment as module
from trnbench.bench import privacy
from trnbench.bench.environment import environment, read_git, read_variables
from trnbench.bench.privacy import scrub_text, scrub_value


@pytest.fixture
def names(monkeypatch):
    """Names that can be told from every ordinary word."""
    monkeypatch.setattr(privacy.socket, "gethostname", lambda: "quokka7.zoo.example")
    monkeypatch.setattr(privacy.socket, "getfqdn", lambda host: "quokka7.zoo.example")
    monkeypatch.setattr(privacy.getpass, "getuser", lambda: "wombat")
    monkeypatch.setattr(privacy.Path, "home", lambda: Path("/home/echidna"))
    privacy._own_names.cache_clear()
    yield ("quokka7", "wombat", "echidna")
    privacy._own_names.cache_clear()


def test_a_real_environment_is_filled_in():
    found = environment(threads=2)

    assert re.fullmatch(r"(alike-)?[0-9a-f]{12}", found.machine)
    assert re.fullmatch(r"[0-9a-f]{12}", found.boot)
    assert re.fullmatch(r"\w+ \d+\.\d+ \w+", found.system)
    assert found.cpu
    assert found.cpus_logical >= 1
    assert found.memory_bytes > 2**28
    assert found.threads == 2
    assert re.match(r"3\.\d+\.\d+", found.python)
    assert {"torch", "numpy", "trnbench"} <= set(found.versions)
    assert set(found.git) == {"commit", "dirty"}
    assert found.load_average >= 0


STATUS = """\
Package: aws-neuronx-{name}
Status: install ok installed
Version: {version}
Architecture: amd64
Maintainer: nobody <nobody@example.com>
Description: none

"""


def test_the_versions_of_a_neuron_stack_are_there(tmp_path, monkeypatch):
    """Distributions of its own, system packages and a loaded driver, and their release."""
    monkeypatch.setenv("TRNBENCH_NEURON_ROOT", str(tmp_path))
    found = {
        "torch-neuronx": "2.14.3.0+abc",
        "neuronx-cc": "2.28.7631.0+abc",
        "vllm-neuron": "0.24.0.1.2.0",
        "nrtpy": "2.35.30",
    }
    monkeypatch.setattr(module, "find_version", found.get)
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(
        STATUS.format(name="runtime-lib", version="2.35.30.0-f1c")
        + STATUS.format(name="tools", version="2.33.38.0"),
        encoding="utf-8",
    )
    driver = tmp_path / "sys/module/neuron/version"
    driver.parent.mkdir(parents=True)
    driver.write_text("2.31.7.0\n", encoding="utf-8")
    versions = module.read_versions()

    assert versions.items() >= found.items()
    assert versions["aws-neuronx-runtime-lib"] == "2.35.30.0-f1c"
    assert versions["aws-neuronx-tools"] == "2.33.38.0"
    assert versions["neuron-driver"] == "2.31.7.0"
    assert versions["neuron-sdk"] == "2.33.0"
    driver.write_text("garbage of /home/bob", encoding="utf-8")
    assert "neuron-driver" not in module.read_versions()


def test_without_a_neuron_stack_there_is_no_word_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TRNBENCH_NEURON_ROOT", str(tmp_path))
    monkeypatch.setattr(module, "find_version", {"torch": "2.13.0"}.get)

    assert module.read_versions()["torch"] == "2.13.0"
    assert not [name for name in module.read_versions() if "neuron" in name]


def test_the_same_machine_has_the_same_name():
    first, second = environment(None), environment(None)

    assert first.machine == second.machine
    assert first.boot == second.boot


def test_machine_and_boot_are_hashes_and_not_the_ids_themselves(tmp_path, monkeypatch):
    ids = ["0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdee"]
    found = []
    for index, text in enumerate(ids):
        path = tmp_path / str(index)
        path.write_text(text + "\n", encoding="utf-8")
        monkeypatch.setattr(module, "MACHINE_ID_FILES", (tmp_path / "missing", path))
        monkeypatch.setattr(module, "BOOT_ID", path)
        made = environment(None)
        found.append((made.machine, made.boot))

    assert found[0][0] != found[1][0]
    assert found[0][0] != found[0][1]
    assert not any(value in text for pair in found for value in pair for text in ids)


def test_without_an_id_twins_are_alike(tmp_path, monkeypatch):
    empty = tmp_path / "machine-id"
    empty.write_text("\n", encoding="utf-8")
    monkeypatch.setattr(module, "MACHINE_ID_FILES", (empty,))

    assert re.fullmatch(r"alike-[0-9a-f]{12}", environment(None).machine)


def test_no_name_of_this_machine_is_in_the_record(monkeypatch):
    """With the real names, and variables that hold them in every way one can think of."""
    host, user, home = socket.gethostname(), getpass.getuser(), str(Path.home())
    held = [host, host.upper(), user, home, f"{home}/cache", f"{user}@{host}", f"{host}:6000"]
    for index, value in enumerate([*held, *(f"--a=1 --dir={value} -O2" for value in held)]):
        monkeypatch.setenv(f"NEURON_TEST_{index}", value)
    found = environment(None)
    variables = "\n".join(f"{k}={v}" for k, v in found.variables.items())

    assert sum(name.startswith("NEURON_TEST_") for name in found.variables) == 2 * len(held)
    assert home not in found.model_dump_json()
    for name in (host, user):
        assert not re.search(
            rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", variables, re.IGNORECASE
        )


def test_no_name_is_anywhere_in_the_record(names, monkeypatch, tmp_path):
    monkeypatch.setattr(module.platform, "node", lambda: names[0])
    monkeypatch.setattr(module.platform, "release", lambda: f"6.1.0-{names[0]}-{names[1]}")
    monkeypatch.chdir(tmp_path)
    for index, name in enumerate(names):
        monkeypatch.setenv(f"XLA_TEST_{index}", f"x-{name}-y")
        monkeypatch.setenv(f"HOME_OF_{name.upper()}", name)
    text = environment(None).model_dump_json().lower()

    assert "xla_test_0" in text
    assert [name for name in names if name in text] == []
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0-3", "0-3"),
        ("expandable_segments:True,max_split_size_mb:128",) * 2,
        ("--xla_gpu_autotune_level=2 -O1",) * 2,
        ("2.9.0", "2.9.0"),
        ("12:30", "12:30"),
        ("", ""),
        ("/var/tmp/cache", "<path>"),
        ("~/cache", "<path>"),
        ("/data/John Smith/cache", "<path>"),
        ("C:\\Users\\bob", "<path>"),
        ("s3://bucket/key", "<address>"),
        ("10.1.2.3:62182", "<address>"),
        ("fe80::1ff:fe23:4567:890a", "<address>"),
        ("02:42:ac:11:00:02", "<address>"),
        ("node7.corp.example:3", "<address>"),
        ("ip-10-0-0-12", "<address>"),
        ("i-0abc123def4567890", "<address>"),
        ("123456789012", "<address>"),
        ("bob@elsewhere", "<address>"),
        ("on-Quokka7-only", "<name>"),
        ("wombat", "<name>"),
        ("echidna", "<name>"),
        (
            "--model-type=transformer --cache_dir=/data/x y --lnc=2",
            "--model-type=transformer --cache_dir=<path> --lnc=2",
        ),
        ("--dir /data/x -O1", "--dir <path> -O1"),
    ],
)
def test_a_value_is_fit_to_be_published(names, value, expected):
    assert scrub_value("NEURON_CC_FLAGS", value) == expected


@pytest.mark.parametrize("name", ["TORCH_HUB_TOKEN", "NEURON_API_KEY", "XLA_PASSWORD"])
def test_a_secret_is_not_published(name):
    assert scrub_value(name, "harmless") == "<secret>"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("alice", "<name>"), ("job-7", "<name>"), ("trnbench", "trnbench"), ("", "")],
)
def test_what_a_person_calls_a_process_is_not_published(given, kept):
    assert read_variables({"NEURON_PROCESS_TAG": given}) == {"NEURON_PROCESS_TAG": kept}


def test_only_variables_of_device_stacks_and_thread_pools_are_kept():
    variables = {
        "NEURON_RT_VISIBLE_CORES": "0",
        "XLA_FLAGS": "-a",
        "PJRT_DEVICE": "CPU",
        "CUDA_VISIBLE_DEVICES": "1",
        "TORCH_LOGS": "+dynamo",
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
        "TORCH_NEURONX_METRICS_ENABLED": "1",
        "TRNBENCH_NEURON_ROOT": "/host",
        "AWS_SECRET_ACCESS_KEY": "x",
        "HOME": "y",
        "MY_CUDA_HOME": "z",
    }

    assert set(read_variables(variables)) == set(list(variables)[:9])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('File "/data/proj/src/x/matmul.py", line 3', 'File "<path>/matmul.py", line 3'),
        ("no such folder: /data/proj", "no such folder: <path>"),
        ("C:\\Users\\bob\\x.py:1", "<path>/x.py:1"),
        (
            "shape (3/4) of fp32/bf16, x / y, 2.13.0+cpu",
            "shape (3/4) of fp32/bf16, x / y, 2.13.0+cpu",
        ),
        ("[enforce fail at alloc_cpu.cpp:127]", "[enforce fail at alloc_cpu.cpp:127]"),
        ("connect to 10.0.0.7:99 or ip-10-0-0-7", "connect to <address> or <address>"),
        ("ask wombat on QUOKKA7", "ask <name> on <name>"),
    ],
)
def test_a_message_keeps_its_meaning_and_loses_its_places(names, text, expected):
    assert scrub_text(text) == expected


def git(folder, *arguments):
    subprocess.run(
        [
            "git",
            "-C",
            str(folder),
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
            *arguments,
        ],
        check=True,
        capture_output=True,
    )


def test_git_facts_of_a_repository(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "file").write_text("1", encoding="utf-8")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "first")
    clean = read_git(tmp_path)
    (tmp_path / "untracked").touch()
    beside = read_git(tmp_path)
    (tmp_path / "file").write_text("2", encoding="utf-8")

    assert re.fullmatch(r"[0-9a-f]{40}", clean["commit"])
    assert clean["dirty"] is False
    assert beside == clean
    assert read_git(tmp_path) == {"commit": clean["commit"], "dirty": True}


def test_git_facts_are_unknown_outside_a_repository_and_without_git(tmp_path, monkeypatch):
    nothing = {"commit": None, "dirty": None}
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert read_git(tmp_path) == nothing
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    assert read_git(Path.cwd()) == nothing
