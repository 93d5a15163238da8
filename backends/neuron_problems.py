"""What is wrong with a Neuron set-up for one of its stacks, and what to do about it."""

from __future__ import annotations

from .neuron_cores import VISIBLE_CORES, find_lnc_problem, parse_cores
from .neuron_facts import NeuronSetup
from .neuron_sdk import compare_driver
from .neuron_stack import (
    Problem,
    Stack,
    find_package_problem,
    find_plugin_problem,
    find_python_problem,
    find_torch_problem,
)

#: Chips that only the XLA stack knows.
_WITHOUT_NATIVE = frozenset({"Inferentia2", "Trainium1"})
_DRIVER = "aws-neuronx-dkms"


def find_problems(setup: NeuronSetup, wanted: Stack) -> list[Problem]:
    """All of them: packages, then Python, then the machine. Packages that aren't there aren't
    compared with anything."""
    found = [find_package_problem(setup.stack, wanted, setup.versions, setup.all_versions)]
    here = setup.stack == wanted
    if here:
        found.append(find_torch_problem(setup.versions))
    if here and wanted == "xla":
        found.append(find_plugin_problem(setup.versions))
    requires = setup.requires_python if here else None
    found.append(find_python_problem(wanted, setup.python, requires))
    found.append(_find_chip_problem(setup, wanted))
    found.append(_find_device_problem(setup))
    if setup.devices:
        found.append(_find_driver_problem(setup))
        found.append(
            find_lnc_problem(setup.environ, setup.lnc, setup.lnc_source, setup.device_name)
        )
        found.append(_find_cores_problem(setup))
    return [problem for problem in found if problem is not None]


def _find_chip_problem(setup: NeuronSetup, wanted: Stack) -> Problem | None:
    if wanted != "native" or setup.device_name not in _WITHOUT_NATIVE:
        return None
    return Problem(
        f"the native stack does not run on {setup.device_name}",
        "measure with the backend neuron-xla, in an environment with the XLA stack",
    )


def _find_device_problem(setup: NeuronSetup) -> Problem | None:
    if setup.closed:
        files = ", ".join(f"/dev/{name}" for name in setup.closed)
        return Problem(
            f"this user may not read and write {files}",
            "give the user the group of these files, or: sudo chmod a+rw /dev/neuron*",
        )
    if setup.devices:
        return None
    reason = "there is no Neuron device (/dev/neuron*)"
    if setup.driver is not None:
        return Problem(
            f"{reason}, though the driver is loaded",
            "pass the devices to the container: --device=/dev/neuron0",
        )
    if setup.instance_type is not None:
        return Problem(
            f"{reason} on this {setup.instance_type}",
            f"install the driver ({_DRIVER}) for the kernel that runs, or load it: "
            "sudo modprobe neuron",
        )
    return Problem(reason, f"run on a Trainium or Inferentia instance with its driver ({_DRIVER})")


def _find_driver_problem(setup: NeuronSetup) -> Problem | None:
    if setup.driver is None or setup.runtime is None:
        return None
    reason = compare_driver(setup.driver, setup.runtime, setup.runtime_source)
    if reason is None:
        return None
    reload = "end what uses the devices, then: sudo rmmod neuron && sudo modprobe neuron"
    installed = setup.packages.get(_DRIVER)
    if installed is not None and not installed.startswith(setup.driver):
        return Problem(reason, f"{_DRIVER} {installed} is installed and not loaded: {reload}")
    return Problem(
        reason, f"install {_DRIVER} and aws-neuronx-runtime-lib of one SDK release; {reload}"
    )


def _find_cores_problem(setup: NeuronSetup) -> Problem | None:
    try:
        cores = parse_cores(setup.environ.get(VISIBLE_CORES) or "0")
    except ValueError as error:
        return Problem(f"{VISIBLE_CORES}: {error}", f"unset {VISIBLE_CORES}, or set it to 0")
    if setup.cores_present is None or cores[-1] < setup.cores_present:
        return None
    return Problem(
        f"{VISIBLE_CORES} names core {cores[-1]}, and there are {setup.cores_present} logical "
        "cores, counted from 0",
        f"unset {VISIBLE_CORES}, or set it to 0",
    )
