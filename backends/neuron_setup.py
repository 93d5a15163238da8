"""What Neuron hardware and software is here: found from files, distributions and neuron-ls.

Nothing here imports torch, starts the runtime, claims a core, opens a device or writes anything.
Whether a backend can run on what was found is said by :func:`check`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TypeVar

from .neuron_cores import CHIPS, FAMILIES, VISIBLE_CORES, find_lnc, parse_cores
from .neuron_facts import NeuronSetup, Surroundings
from .neuron_ls import ListedDevice, ask_instance_type, list_devices
from .neuron_problems import find_problems
from .neuron_sdk import DISTRIBUTIONS, find_release, find_runtime, read_packages
from .neuron_stack import INDEX_URL, name_stack
from .neuron_sysfs import (
    SysfsDevice,
    find_closed,
    find_device_files,
    read_devices,
    read_driver_version,
    read_instance_type,
)
from .protocol import Availability, Fact, Refusal, Settings

__all__ = [
    "INDEX_URL",
    "NeuronSetup",
    "Surroundings",
    "check",
    "find_owners",
    "find_setup",
    "identity_facts",
    "visible_cores",
]

Value = TypeVar("Value")


def find_setup(surroundings: Surroundings | None = None) -> NeuronSetup:
    """Everything that can be told without touching a device. Takes about as long as neuron-ls
    (a tenth of a second), or no time where there is none."""
    here = Surroundings.here() if surroundings is None else surroundings
    root = here.root
    versions = {name: found for name in DISTRIBUTIONS if (found := here.version_of(name))}
    all_versions = here.versions_of("torch-neuronx")
    packages = read_packages(root)
    runtime, runtime_source = find_runtime({**versions, **packages})
    devices = find_device_files(root)
    sysfs, notes = read_devices(root)
    driver, driver_notes = read_driver_version(root)
    listed, unlisted = list_devices(root, here.environ)
    instance_type = _find_instance_type(here, listed)
    device_name = _find_device_name(sysfs, instance_type)
    listed_lnc = _first(device.lnc for device in listed or ())
    lnc, lnc_source = find_lnc(here.environ, listed_lnc, device_name)
    count = len(devices) or len(sysfs) or len(listed or ())
    physical = _count_physical(sysfs, listed, device_name, lnc, count)
    return NeuronSetup(
        stack=name_stack(versions, all_versions),
        version=versions.get("torch-neuronx"),
        versions=versions,
        all_versions=all_versions,
        python=here.python,
        requires_python=here.requires_python_of("torch-neuronx"),
        environ=here.environ,
        devices=devices,
        closed=find_closed(root, devices),
        device_name=device_name,
        instance_family=_first(device.instance_family for device in sysfs),
        instance_type=instance_type,
        lnc=lnc,
        lnc_source=lnc_source,
        cores_present=physical // lnc if physical and lnc else None,
        physical_cores=physical,
        memory_bytes=_first(device.memory_bytes for device in listed or ()),
        driver=driver,
        runtime=runtime,
        runtime_source=runtime_source,
        packages=packages,
        sdk=find_release({**versions, **packages}),
        listed=listed,
        # Without a device, neuron-ls has nothing to say that isn't known.
        notes=(
            *notes,
            *driver_notes,
            *([unlisted] if unlisted and devices else []),
            *_compare_lnc(listed_lnc, lnc, lnc_source),
        ),
    )


def check(setup: NeuronSetup, backend: str) -> Availability:
    """Whether the backend "neuron" or "neuron-xla" can run on what was found. All that is wrong
    is said at once: the packages first in the reason, and last in what to do."""
    problems = find_problems(setup, "native" if backend == "neuron" else "xla")
    # Shown by trnbench doctor and stored nowhere: processes are other people's.
    held = "; ".join(
        f"process {_enumerate(pids)} on device {device}"
        for device, pids in _list_owners(setup).items()
    )
    facts = identity_facts(setup) | {
        "devices": len(setup.devices),
        "held": held,
        "notes": "; ".join(setup.notes),
    }
    if problems:
        return Availability(
            available=False,
            reason="; ".join(reason for reason, _ in problems),
            mend="; ".join(mend for _, mend in reversed(problems) if mend),
            facts=facts,
        )
    cores = "" if setup.cores_present is None else f", {setup.cores_present} logical cores"
    return Availability(
        available=True,
        reason=f"torch-neuronx {setup.version}, and {len(setup.devices)} x "
        f"{setup.device_name or 'a Neuron device'}{cores}",
        facts=facts,
    )


def find_owners(setup: NeuronSetup, settings: Settings) -> Refusal | None:
    """The other processes on the devices that these settings' cores are on; ``None`` where there
    are none, or neuron-ls can't be asked. It tells devices and not cores; cores of one device
    share its memory, so that a neighbour at work would spoil a figure all the same. Names no
    process: a refusal is stored in a record."""
    cores = parse_cores(visible_cores(settings, setup.environ))
    wanted = _devices_of(setup, cores, settings.lnc or setup.lnc)
    held = {
        device: pids
        for device, pids in _list_owners(setup).items()
        if wanted is None or device in wanted
    }
    if not held:
        return None
    count = len({pid for pids in held.values() for pid in pids})
    holders = "1 other process holds" if count == 1 else f"{count} other processes hold"
    devices = f"device {min(held)}" if len(held) == 1 else f"devices {_enumerate(held)}"
    return Refusal(
        f"{holders} cores of {devices}",
        "wait for them or end them (trnbench doctor and neuron-ls show which they are), or choose "
        "cores of another device with --bench-cores",
    )


def _list_owners(setup: NeuronSetup) -> dict[int, list[int]]:
    """Index of a device -> numbers of the processes on it, this one left out."""
    owners = {
        device.index: sorted({owner.pid for owner in device.owners} - {os.getpid()})
        for device in setup.listed or ()
    }
    return {device: pids for device, pids in owners.items() if pids}


def _enumerate(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def visible_cores(settings: Settings, environ: Mapping[str, str]) -> str:
    """The cores that a worker may claim, as "0" or "0-3": the user's, the environment's, or the
    first. Raises ``ValueError`` where they aren't cores by index."""
    cores = settings.cores or environ.get(VISIBLE_CORES) or "0"
    parse_cores(cores)
    return cores


def identity_facts(setup: NeuronSetup) -> dict[str, Fact]:
    """What a record says of the device and its stack; nothing that names the machine."""
    return {
        "stack": setup.stack,
        "torch_neuronx": setup.version,
        "device_name": setup.device_name,
        "instance_type": setup.instance_type,
        "instance_family": setup.instance_family,
        "physical_cores": setup.physical_cores,
        "cores_present": setup.cores_present,
        "visible_cores": setup.environ.get(VISIBLE_CORES),
        "lnc": setup.lnc,
        "lnc_source": setup.lnc_source,
        "driver": setup.driver,
        "runtime": setup.runtime,
        "runtime_source": setup.runtime_source,
        "sdk": setup.sdk,
    }


def _compare_lnc(listed: int | None, lnc: int | None, source: str) -> tuple[str, ...]:
    """A note and no problem: whether neuron-ls says what a process would get with its variables,
    or what the machine is set to, isn't documented. The runtime goes by the variable."""
    if listed is None or listed == lnc:
        return ()
    return (f"neuron-ls says LNC={listed}, and {source} says LNC={lnc}",)


def _find_instance_type(here: Surroundings, listed: tuple[ListedDevice, ...] | None) -> str | None:
    found = _first(device.instance_type for device in listed or ())
    found = found or read_instance_type(here.root)
    return found or (ask_instance_type(here.root, here.environ) if listed else None)


def _find_device_name(sysfs: tuple[SysfsDevice, ...], instance_type: str | None) -> str | None:
    said = _first(device.device_name for device in sysfs)
    return said or FAMILIES.get((instance_type or "")[:4])


def _count_physical(
    sysfs: tuple[SysfsDevice, ...],
    listed: tuple[ListedDevice, ...] | None,
    device_name: str | None,
    lnc: int | None,
    count: int,
) -> int | None:
    """The chip's own number where the chip is known: what is counted as a core by sysfs and
    neuron-ls differs between their versions."""
    if device_name in CHIPS:
        return CHIPS[device_name][0] * count or None
    if sysfs and all(device.core_count for device in sysfs):
        return sum(device.core_count or 0 for device in sysfs)
    if listed and lnc and all(device.cores for device in listed):
        return sum(device.cores or 0 for device in listed) * lnc
    return None


def _devices_of(setup: NeuronSetup, cores: tuple[int, ...], lnc: int | None) -> set[int] | None:
    """Indices of the devices that these logical cores are on; ``None`` where that isn't known,
    as in a container that was given some devices from the middle."""
    names = tuple(f"neuron{index}" for index in range(len(setup.devices)))
    if not setup.physical_cores or lnc is None or setup.devices != names:
        return None
    each = setup.physical_cores // len(setup.devices) // lnc
    return {core // each for core in cores} if each else None


def _first(values: Iterable[Value | None]) -> Value | None:
    return next((value for value in values if value is not None), None)
