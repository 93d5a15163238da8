"""Where a run is made, without anything that names a person, host, account or path."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ..backends.installation import find_version
from ..backends.neuron_facts import Surroundings
from ..backends.neuron_sdk import DISTRIBUTIONS as NEURON_DISTRIBUTIONS
from ..backends.neuron_sdk import find_release, read_packages
from ..backends.neuron_sysfs import read_driver_version as read_neuron_driver_version
from ..backends.nvml import read_driver_version
from ..backends.processor import read_cpu
from ..backends.toolchain import find_cpp_compiler, read_compiler_version
from ..results.record import Environment, Fact
from .privacy import scrub_value

# Fixed and public: it keeps the hash from being matched with other programs' hashes.
_SALT = "trnbench machine"
MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
VARIABLE_PREFIXES = ("NEURON_", "XLA_", "PJRT_", "CUDA_", "TORCH_", "OMP_", "MKL_", "TRNBENCH_")
DISTRIBUTIONS = (
    "trnbench",
    *NEURON_DISTRIBUTIONS,
    "triton",
    "transformers",
    "pytest",
    "pytest-benchmark",
)


def environment(threads: int | None) -> Environment:
    """The environment of a run that begins now, in the present working folder.

    ``threads`` is what torch's operators are told to use; ``None`` leaves it to torch.
    """
    import psutil

    cpu = read_cpu()
    memory_bytes = psutil.virtual_memory().total
    name = cpu["model_name"] or f"{cpu['architecture']} {cpu['vendor'] or 'processor'}"
    return Environment(
        machine=_identify_machine(name, cpu["physical_cores"], memory_bytes),
        boot=_identify_boot(),
        system=f"{platform.system()} {_kernel_version()} {platform.machine()}",
        cpu=name,
        cpus_logical=cpu["logical_cores"] or os.cpu_count() or 1,
        memory_bytes=memory_bytes,
        threads=threads,
        python=platform.python_version(),
        versions=read_versions(),
        git=read_git(Path.cwd()),
        variables=read_variables(os.environ),
        load_average=os.getloadavg()[0],
    )


def read_versions() -> dict[str, str]:
    """Versions of what a result can depend on, of those that are present: distributions, system
    packages, drivers, and the release of the Neuron SDK that these belong to."""
    found = {name: find_version(name) for name in DISTRIBUTIONS}
    compiler = find_cpp_compiler()
    found["c++"] = read_compiler_version(compiler) if compiler else None
    found["nvidia-driver"] = read_driver_version()
    root = Surroundings.here().root
    found |= read_packages(root)
    found["neuron-driver"], _ = read_neuron_driver_version(root)
    found["neuron-sdk"] = find_release({name: one for name, one in found.items() if one})
    return {name: version for name, version in found.items() if version}


def read_git(folder: Path) -> dict[str, Fact]:
    """Commit of the repository that ``folder`` lies in, and whether tracked files differ from
    it. Both ``None`` without git or outside a repository; never names, remotes or branches."""
    commit = _ask_git(folder, "rev-parse", "HEAD")
    changes = _ask_git(folder, "status", "--porcelain", "--untracked-files=no") if commit else None
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def read_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that device stacks and thread pools read, fit to be published."""
    return {
        name: scrub_value(name, value)
        for name, value in sorted(variables.items())
        if name.startswith(VARIABLE_PREFIXES)
    }


def _identify_machine(cpu: str, cores: int | None, memory_bytes: int) -> str:
    """Twelve hexadecimal digits, the same for every run on one installation.

    Without a machine id (most containers) the hash is of the kind of machine, which its twins
    share; it begins with "alike-" then. Host names and network addresses are never hashed: a
    list of likely ones would give them away.
    """
    for path in MACHINE_ID_FILES:
        if path.is_file() and (machine_id := path.read_text(encoding="utf-8").strip()):
            return _hash("id", machine_id)
    return "alike-" + _hash("kind", f"{cpu}|{cores}|{memory_bytes}")


def _identify_boot() -> str:
    if BOOT_ID.is_file():
        return _hash("boot", BOOT_ID.read_text(encoding="utf-8").strip())
    import psutil

    return _hash("boot", str(round(psutil.boot_time())))


def _hash(purpose: str, value: str) -> str:
    return hashlib.sha256(f"{_SALT}|{purpose}|{value}".encode()).hexdigest()[:12]


def _kernel_version() -> str:
    """Like "6.1" of "6.1.0-13-cloud-amd64": what follows can name a provider's own build."""
    return ".".join(platform.release().split(".")[:2])


def _ask_git(folder: Path, *arguments: str) -> str | None:
    if shutil.which("git") is None:
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
