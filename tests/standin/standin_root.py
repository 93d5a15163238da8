"""A root folder that looks like a Trainium machine's: device files, sysfs, driver, neuron-ls.

The layout is the documented one (Neuron's sysfs and neuron-ls guides, read 2026-10); the values
are our own. ``TRNBENCH_NEURON_ROOT`` points the package's detection at it. To break one thing at
a time, change the files: remove ``dev/neuron0``, write another version to
``sys/module/neuron/version``, write pids to ``owners``, one on each line.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

_GIB = 2**30
#: sysfs ``device_name``: ``arch_type`` and memory of a device.
_CHIPS = {
    "Trainium1": ("NDv2", 32 * _GIB),
    "Inferentia2": ("NDv3", 32 * _GIB),
    "Trainium2": ("NDv4", 96 * _GIB),
    "Trainium3": ("NDv5", 144 * _GIB),
}
_MEMORY = (
    "collectives",
    "constants",
    "dma_rings",
    "driver_memory",
    "model_code",
    "model_shared_scratchpad",
    "nonshared_scratchpad",
    "notifications",
    "runtime_memory",
    "tensors",
    "uncategorized",
)
_COUNTERS = ("flop_count", "inference_count", "model_load_count", "nc_time_in_use")

NEURON_LS = """\
#!{python} -IS
import json, sys
from pathlib import Path

root = Path(__file__).resolve().parents[4]
unknown = [flag for flag in sys.argv[1:] if flag not in ("-j", "--json-output", "-a", "-w", "-t")]
if unknown:
    print("unknown flag `" + unknown[0].lstrip("-") + "'")
    sys.exit(1)
devices = json.loads((root / "neuron-ls.json").read_text())
devices = [each for each in devices if (root / "dev" / f"neuron{{each['neuron_device']}}").exists()]
if not devices:
    sys.exit(1)
for pid in (root / "owners").read_text().split():
    words = Path("/proc", pid, "cmdline")
    command = words.read_bytes().replace(b"\\0", b" ").decode().strip() if words.exists() else ""
    devices[0]["neuron_processes"].append(
        {{"pid": int(pid), "command": command, "neuron_runtime_version": "2.35.30"}}
    )
if "-j" in sys.argv or "--json-output" in sys.argv:
    print(json.dumps(devices, indent=4))
else:
    for each in devices:
        print(each["neuron_device"], each["nc_count"], each["memory_size"], each["bdf"])
"""


def make_root(
    root: Path,
    *,
    devices: int = 1,
    device_name: str = "Trainium2",
    instance_type: str = "Trn2",
    cores: int = 8,
    lnc: int = 2,
    driver: str = "2.31.7.0",
    owners: tuple[int, ...] = (),
) -> dict[str, str]:
    """Lay the root out in ``root`` (anything there goes); the variable that points at it.

    ``cores`` are physical cores of a device, ``lnc`` how many of them make a logical one,
    ``owners`` the pids that hold cores of device 0. An empty ``driver`` is no driver loaded.
    """
    shutil.rmtree(root, ignore_errors=True)
    (root / "dev").mkdir(parents=True)
    (root / "sys/devices/virtual/neuron_device").mkdir(parents=True)
    arch_type, memory_bytes = _CHIPS[device_name]
    listed = []
    for index in range(devices):
        _write(root / f"dev/neuron{index}", "")
        _write_sysfs(
            root / f"sys/devices/virtual/neuron_device/neuron{index}",
            {
                "core_count": cores,
                "connected_devices": ", ".join(str(i) for i in range(devices) if i != index),
                "info/serial_number": f"{index + 1:016d}",
                "info/architecture/arch_type": arch_type,
                "info/architecture/device_name": device_name,
                "info/architecture/instance_type": instance_type,
            },
            cores,
        )
        listed.append(_describe(index, devices, cores, lnc, memory_bytes))
    if driver:
        _write(root / "sys/module/neuron/version", f"{driver}\n")
    _write(root / "owners", "".join(f"{pid}\n" for pid in owners))
    _write(root / "neuron-ls.json", json.dumps(listed))
    tool = root / "opt/aws/neuron/bin/neuron-ls"
    _write(tool, NEURON_LS.format(python=sys.executable))
    tool.chmod(0o755)
    return {"TRNBENCH_NEURON_ROOT": str(root)}


def _describe(
    index: int, devices: int, cores: int, lnc: int, memory_bytes: int
) -> dict[str, object]:
    """One object of ``neuron-ls -j``; cores are counted as logical ones there."""
    logical = cores // lnc
    return {
        "neuron_device": index,
        "bdf": f"00:{0x1E - index:02x}.0",
        "cpu_affinity": "0-11",
        "numa_node": "0",
        "connected_to": [i for i in range(devices) if i != index] or None,
        "nc_count": logical,
        "logical_neuroncore_config": lnc,
        "memory_size": memory_bytes,
        "neuroncore_ids": list(range(index * logical, (index + 1) * logical)),
        "neuron_processes": [],
    }


def _write_sysfs(device: Path, values: dict[str, object], cores: int) -> None:
    for name, value in values.items():
        _write(device / name, f"{value}\n")
    # Per cent of the maximum over the past minute: status, time, least, most, mean.
    _write(device / "stats/power/utilization", "POWER_STATUS_VALID,1795470000,4.25,31.50,12.75\n")
    _write(device / "power/runtime_status", "unsupported\n")  # Linux's own folder, not Neuron's
    for core in range(cores):
        stats = device / f"neuron_core{core}" / "stats"
        for name in _COUNTERS:
            _write(stats / "other_info" / name / "total", "0\n")
            _write(stats / "other_info" / name / "present", "0\n")
        for name in ("", *_MEMORY):
            for leaf in ("total", "present", "peak"):
                _write(stats / "memory_usage/device_mem" / name / leaf, "4096\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
