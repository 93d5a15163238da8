"""Facts of processors, from what kernels really write."""

from __future__ import annotations

import pytest

from trnbench.backends import processor
from trnbench.backends.processor import read_cpu

X86 = """\
processor\t: {index}
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8488C
stepping\t: 8
cpu MHz\t\t: 2400.000
physical id\t: 0
siblings\t: 4
core id\t\t: {core}
cpu cores\t: 2
flags\t\t: fpu avx2 avx512f {hypervisor}amx_bf16
power management:
"""
ARM = """\
processor\t: {index}
BogoMIPS\t: 2100.00
Features\t: fp asimd sve bf16 i8mm
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd40
CPU revision\t: 1
"""


def write(root, path, text):
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def write_cache(sys, index, level, kind, size, shared="0"):
    folder = f"devices/system/cpu/cpu0/cache/index{index}"
    write(sys, f"{folder}/level", f"{level}\n")
    write(sys, f"{folder}/type", f"{kind}\n")
    write(sys, f"{folder}/size", f"{size}\n")
    write(sys, f"{folder}/shared_cpu_list", f"{shared}\n")


def read(tmp_path, architecture):
    return read_cpu(tmp_path / "proc", tmp_path / "sys", architecture, "Linux")


@pytest.mark.parametrize(("flag", "virtual"), [("hypervisor ", True), ("", False)])
def test_x86_with_two_threads_a_core(tmp_path, flag, virtual):
    blocks = [X86.format(index=i, core=i % 2, hypervisor=flag) for i in range(4)]
    write(tmp_path / "proc", "cpuinfo", "\n".join(blocks))
    write_cache(tmp_path / "sys", 0, 1, "Data", "48K")
    write_cache(tmp_path / "sys", 1, 1, "Instruction", "32K")
    write_cache(tmp_path / "sys", 2, 2, "Unified", "2048K")
    write_cache(tmp_path / "sys", 3, 3, "Unified", "105M", "0-3,8")

    cpu = read(tmp_path, "x86_64")

    assert (cpu["vendor"], cpu["family"], cpu["model"]) == ("GenuineIntel", 6, 143)
    assert (cpu["physical_cores"], cpu["logical_cores"]) == (2, 4)
    assert cpu["virtual"] is virtual
    assert (cpu["l1d_bytes"], cpu["l2_bytes"], cpu["l3_bytes"]) == (49152, 2097152, 110100480)
    assert cpu["l3_shared_by"] == 5
    assert "amx_bf16" in cpu["flags"]
    assert cpu["model_name"] == "Intel(R) Xeon(R) Platinum 8488C"


def test_arm_says_less_and_topology_is_in_sysfs(tmp_path):
    write(tmp_path / "proc", "cpuinfo", "\n".join(ARM.format(index=i) for i in range(2)))
    for cpu in range(2):
        write(tmp_path / "sys", f"devices/system/cpu/cpu{cpu}/topology/core_id", f"{cpu}\n")
        write(tmp_path / "sys", f"devices/system/cpu/cpu{cpu}/topology/physical_package_id", "0\n")

    cpu = read(tmp_path, "aarch64")

    assert (cpu["vendor"], cpu["part"]) == ("0x41", "0xd40")
    assert cpu["flags"] == ("fp", "asimd", "sve", "bf16", "i8mm")
    assert cpu["physical_cores"] == 2
    assert (cpu["family"], cpu["model"], cpu["model_name"]) == (None, None, None)
    assert cpu["virtual"] is None
    assert cpu["l3_bytes"] is None


def test_nothing_readable_is_unknown_and_no_error(tmp_path):
    cpu = read(tmp_path, "riscv64")

    assert cpu["architecture"] == "riscv64"
    assert cpu["flags"] == ()
    assert {v for k, v in cpu.items() if k not in {"architecture", "flags"}} == {None}


def test_macos_is_asked_by_sysctl(monkeypatch):
    answers = {
        "machdep.cpu.brand_string": "Apple M2",
        "hw.physicalcpu": "8",
        "hw.logicalcpu": "8",
        "hw.l1dcachesize": "65536",
        "hw.l2cachesize": "4194304",
        "kern.hv_vmm_present": "0",
    }
    monkeypatch.setattr(processor, "_sysctl", answers.get)

    cpu = read_cpu(architecture="arm64", system="Darwin")

    assert (cpu["model_name"], cpu["vendor"]) == ("Apple M2", "Apple")
    assert (cpu["physical_cores"], cpu["l2_bytes"], cpu["l3_bytes"]) == (8, 4194304, None)
    assert cpu["virtual"] is False


@pytest.mark.parametrize("size", ["", "K", "12Q", "abc"])
def test_a_size_that_can_t_be_read_is_unknown(tmp_path, size):
    write(tmp_path / "proc", "cpuinfo", ARM.format(index=0))
    write_cache(tmp_path / "sys", 0, 1, "Data", size)

    assert read(tmp_path, "aarch64")["l1d_bytes"] is None
