"""The sources of readings: the host, the GPU, the Neuron driver's files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from trnbench.backends.gpu_sensors import GpuSensors, choose_gpu
from trnbench.backends.host_sensors import HostSensors
from trnbench.backends.neuron_counters import NeuronCounters, parse_power
from trnbench.backends.nvml import Nvml, open_nvml
from trnbench.backends.sensors import GPU, HOST, NEURON_MONITOR, NEURON_SYSFS, kinds_of
from trnbench.bench.windows import figure_of

SAMPLES = Path(__file__).parents[2].parent / "shared" / "neuron_samples"

needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the outputs of real Neuron tools aren't here"
)


def by_name(readings):
    return {reading.name: reading for reading in readings}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# ---------------------------------------------------------------------------------- which


@pytest.mark.parametrize(
    ("backends", "kinds"),
    [
        ([], HOST),
        (["cpu"], HOST),
        (["cpu", "cuda"], HOST + GPU),
        (["xla"], HOST),
        (["neuron"], HOST + NEURON_SYSFS + NEURON_MONITOR),
        (["cpu", "neuron-xla"], HOST + NEURON_SYSFS + NEURON_MONITOR),
    ],
)
def test_each_backend_has_its_sensors(backends, kinds):
    assert kinds_of(backends) == kinds
    assert len({kind.name for kind in kinds}) == len(kinds)


def test_power_of_a_neuron_device_is_never_in_watts():
    (power,) = [kind for kind in NEURON_SYSFS if kind.name == "neuron.power"]

    assert power.unit == "percent of the maximum"


# ----------------------------------------------------------------------------------- host


class Times(SimpleNamespace):
    _fields = ("user", "system", "idle", "iowait", "steal", "guest")


def set_times(monkeypatch, **seconds):
    times = Times(**(dict.fromkeys(Times._fields, 0.0) | seconds))
    monkeypatch.setattr(psutil, "cpu_times", lambda: times)


def test_shares_of_the_processors_time_since_the_reading_before(tmp_path, monkeypatch):
    set_times(monkeypatch, user=100.0, idle=300.0, steal=5.0)
    host = HostSensors(tmp_path, 10.0)
    # Of 10 more seconds 4 are idle and 1 waits; what a guest got is in the user's time.
    set_times(monkeypatch, user=103.0, idle=304.0, iowait=1.0, steal=7.0, guest=3.0)
    found = by_name(host.read(15.0))

    assert found["cpu.busy"].mean == pytest.approx(50.0)
    assert found["cpu.steal"].mean == pytest.approx(20.0)
    assert (found["cpu.busy"].begin_s, found["cpu.busy"].end_s) == (10.0, 15.0)


def test_a_period_without_a_tick_is_joined_to_the_next(tmp_path, monkeypatch):
    set_times(monkeypatch, user=1.0, idle=1.0)
    host = HostSensors(tmp_path, 10.0)
    assert "cpu.busy" not in by_name(host.read(10.004))
    set_times(monkeypatch, user=1.01, idle=1.0)

    busy = by_name(host.read(10.008))["cpu.busy"]
    assert (busy.mean, busy.begin_s) == (100.0, 10.0)


def test_a_system_that_counts_no_stolen_time(tmp_path, monkeypatch):
    class Few(SimpleNamespace):
        _fields = ("user", "idle")

    monkeypatch.setattr(psutil, "cpu_times", lambda: Few(user=1.0, idle=1.0))
    host = HostSensors(tmp_path, 0.0)
    monkeypatch.setattr(psutil, "cpu_times", lambda: Few(user=2.0, idle=4.0))
    found = by_name(host.read(1.0))

    assert found["cpu.busy"].mean == 25.0
    assert "cpu.steal" not in found
    assert "doesn't count" in host.absent["cpu.steal"]


def test_load_and_memory_are_what_the_system_says(tmp_path, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (3.5, 2.0, 1.0))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=7 * 2**30))
    found = by_name(HostSensors(tmp_path, 0.0).read(1.0))

    assert found["cpu.load"].mean == 3.5
    assert found["memory.available"].mean == 7 * 2**30


def test_clocks_of_all_processors(tmp_path):
    for number, khz in enumerate((2_000_000, 3_400_000)):
        folder = tmp_path / f"sys/devices/system/cpu/cpufreq/policy{number}"
        write(folder / "scaling_cur_freq", f"{khz}\n")
    clock = by_name(HostSensors(tmp_path, 0.0).read(1.0))["cpu.frequency"]

    assert (clock.least, clock.mean, clock.most) == (2.0e9, 2.7e9, 3.4e9)


def rapl(root, zone, name, energy_uj, range_uj=262_143_328_850):
    folder = root / "sys/class/powercap" / zone
    write(folder / "name", f"{name}\n")
    write(folder / "max_energy_range_uj", f"{range_uj}\n")
    return write(folder / "energy_uj", f"{energy_uj}\n")


def test_power_is_the_energy_of_the_packages_over_time(tmp_path):
    first = rapl(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    second = rapl(tmp_path, "intel-rapl:1", "package-1", 1_000_000)
    inner = rapl(tmp_path, "intel-rapl:0:0", "core", 0)
    platform = rapl(tmp_path, "intel-rapl:2", "psys", 0)
    again = rapl(tmp_path, "intel-rapl-mmio:0", "package-0", 0)
    host = HostSensors(tmp_path, 10.0)
    first.write_text("105000000\n")
    second.write_text("51000000\n")
    for other in (inner, platform, again):
        other.write_text("999000000\n")
    power = by_name(host.read(12.0))["package.power"]

    assert power.mean == pytest.approx(75.0)
    assert (power.begin_s, power.end_s) == (10.0, 12.0)


def test_the_energy_counter_starts_again_at_its_maximum(tmp_path):
    counter = rapl(tmp_path, "intel-rapl:0", "package-0", 900_000_000, range_uj=1_000_000_000)
    host = HostSensors(tmp_path, 10.0)
    counter.write_text("50000000\n")

    assert by_name(host.read(11.0))["package.power"].mean == pytest.approx(150.0)


def test_where_there_is_nothing_to_read_there_is_a_reason(tmp_path):
    host = HostSensors(tmp_path, 0.0)
    found = by_name(host.read(1.0))

    assert {"cpu.frequency", "package.power"}.isdisjoint(found)
    assert "no cpufreq" in host.absent["cpu.frequency"]
    assert "no RAPL" in host.absent["package.power"]


def test_energy_that_only_root_may_read(tmp_path, monkeypatch):
    counter = rapl(tmp_path, "intel-rapl:0", "package-0", 5)
    read_text = Path.read_text

    def refuse(path, *arguments, **more):
        if path == counter:
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", refuse)
    host = HostSensors(tmp_path, 0.0)

    assert "package.power" not in by_name(host.read(1.0))
    assert "root" in host.absent["package.power"]
    assert str(tmp_path) not in host.absent["package.power"]


@pytest.mark.parametrize("broken", ["", "many\n", None])
def test_a_counter_that_fails_later_is_a_reason(tmp_path, broken):
    counter = rapl(tmp_path, "intel-rapl:0", "package-0", 5)
    host = HostSensors(tmp_path, 0.0)
    counter.unlink() if broken is None else counter.write_text(broken)
    found = by_name(host.read(1.0))

    assert "package.power" not in found
    assert "cpu.load" in found
    assert "can't be read" in host.absent["package.power"]
    assert str(tmp_path) not in host.absent["package.power"]


# ------------------------------------------------------------------------------------ GPU


class NvmlError(Exception):
    pass


class FakePynvml:
    """nvidia-ml-py, as far as the sensors use it, under its names."""

    # ruff: noqa: N802

    NVMLError = NvmlError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, *gpus, missing=()):
        self.gpus = gpus or (("NVIDIA H100 80GB HBM3", "GPU-aaaa"),)
        self.missing = missing
        self.asked = []

    def nvmlInit(self):
        pass

    def nvmlDeviceGetCount(self):
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if "lost" in self.missing:
            raise NvmlError("GPU is lost")
        (gpu,) = (gpu for gpu in self.gpus if gpu[1] == uuid)
        self.asked.append(uuid)
        return gpu

    def nvmlDeviceGetName(self, handle):
        return handle[0]

    def nvmlDeviceGetUUID(self, handle):
        return handle[1].encode()

    def nvmlDeviceGetClockInfo(self, handle, which):
        return {1: 1980, 2: 2619}[which]

    def nvmlDeviceGetTemperature(self, handle, which):
        return 54

    def nvmlDeviceGetPowerUsage(self, handle):
        if "power" in self.missing:
            raise NvmlError("Not Supported")
        return 612_345

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle):
        return 0

    def nvmlDeviceGetUtilizationRates(self, handle):
        if "utilization" in self.missing:
            raise NvmlError("Not Supported")
        return SimpleNamespace(gpu=97, memory=40)


def gpu_sensors(library, environment=()):
    return GpuSensors(*open_nvml(lambda: library), dict(environment), 10.0)


def test_readings_of_the_gpu_in_si_units():
    sensors = gpu_sensors(FakePynvml())
    found = sensors.read(11.0)

    assert {reading.name: reading.mean for reading in found} == {
        "gpu.power": 612.345,
        "gpu.temperature": 54.0,
        "gpu.sm_clock": 1.98e9,
        "gpu.memory_clock": 2.619e9,
        "gpu.utilization": 97.0,
    }
    assert {(reading.begin_s, reading.end_s) for reading in found} == {(10.0, 11.0)}
    assert sensors.absent == {}


@pytest.mark.parametrize("missing", ["power", "utilization"])
def test_a_reading_that_the_gpu_has_not_is_a_reason(missing):
    sensors = gpu_sensors(FakePynvml(missing=(missing,)))
    found = by_name(sensors.read(11.0))

    assert len(found) == len(GPU) - 1
    assert f"gpu.{missing}" not in found
    assert "doesn't give this reading" in sensors.absent[f"gpu.{missing}"]


def test_a_gpu_that_is_lost_is_a_reason():
    sensors = gpu_sensors(FakePynvml(missing=("lost",)))

    assert sensors.read(11.0) == []
    assert set(sensors.absent) == {kind.name for kind in GPU}
    assert "GPU is lost" in sensors.absent["gpu.power"]


def test_no_library_is_a_reason():
    def load():
        raise ImportError

    sensors = GpuSensors(*open_nvml(load), {}, 0.0)

    assert sensors.read(1.0) == []
    assert sensors.absent == dict.fromkeys(
        (kind.name for kind in GPU), "nvidia-ml-py is not installed"
    )


@pytest.mark.parametrize(
    ("names", "environment", "chosen"),
    [
        ("A", {}, "GPU-0a"),
        ("AA", {}, "GPU-0a"),
        ("AAA", {"CUDA_VISIBLE_DEVICES": "2,0"}, "GPU-2a"),
        ("AAA", {"CUDA_VISIBLE_DEVICES": "GPU-1"}, "GPU-1a"),
        ("AB", {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "1"}, "GPU-1a"),
        ("AB", {"CUDA_VISIBLE_DEVICES": "1"}, "different kinds: set CUDA_DEVICE_ORDER"),
        ("A", {"CUDA_VISIBLE_DEVICES": "MIG-1234"}, "MIG"),
        ("A", {"CUDA_VISIBLE_DEVICES": ""}, "names none of NVML's 1 GPUs"),
        ("A", {"CUDA_VISIBLE_DEVICES": "-1"}, "names none of NVML's 1 GPUs"),
        ("A", {"CUDA_VISIBLE_DEVICES": "1"}, "names none of NVML's 1 GPUs"),
        ("AA", {"CUDA_VISIBLE_DEVICES": "GPU-"}, "fits 2"),
        ("", {}, "none of NVML's 0 GPUs"),
    ],
)
def test_the_gpu_is_the_one_that_cuda_calls_its_first(names, environment, chosen):
    uuids = [f"GPU-{index}a" for index in range(len(names))]
    uuid, reason = choose_gpu(list(names), uuids, environment)

    if chosen.startswith("GPU-"):
        assert (uuid, reason) == (chosen, "")
    else:
        assert uuid is None
        assert chosen in reason


def test_the_chosen_gpu_is_the_one_that_is_read():
    library = FakePynvml(("H100", "GPU-0a"), ("H100", "GPU-1a"))
    sensors = gpu_sensors(library, {"CUDA_VISIBLE_DEVICES": "1"})
    sensors.read(11.0)

    assert set(library.asked) == {"GPU-1a"}
    assert Nvml(library).uuids() == ("GPU-0a", "GPU-1a")


# --------------------------------------------------------------------------------- Neuron


def neuron_device(root, number, power="POWER_STATUS_VALID,1200,1.00,30.00,20.00", loads=(0, 0)):
    device = root / f"sys/devices/virtual/neuron_device/neuron{number}"
    write(device / "stats/power/utilization", power + "\n")
    # The folder of this name right below the device is Linux's own power management.
    write(device / "power/utilization", "POWER_STATUS_VALID,1200,90.00,99.00,95.00\n")
    write(device / "info/serial_number", "0123456789abcdef\n")
    for core, count in enumerate(loads):
        write(device / f"neuron_core{core}/stats/other_info/model_load_count/total", f"{count}\n")
        write(device / f"neuron_core{core}/stats/other_info/model_load_count/present", "1\n")
    return device


def test_power_is_of_the_minute_before_its_timestamp(tmp_path):
    neuron_device(tmp_path, 0)
    # Monotonic time 500 is 1230 of the calendar: the minute lies from 410 to 470.
    found = by_name(NeuronCounters(tmp_path, 500.0, 1230.0).read(501.0))
    power = found["neuron.power"]

    assert (power.begin_s, power.end_s) == (410.0, 470.0)
    assert (power.least, power.most, power.mean) == (1.0, 30.0, 20.0)


def test_a_minute_is_told_once(tmp_path):
    device = neuron_device(tmp_path, 0)
    counters = NeuronCounters(tmp_path, 500.0, 1230.0)
    told = ["neuron.power" in by_name(counters.read(500.0 + s)) for s in range(3)]
    write(device / "stats/power/utilization", "POWER_STATUS_VALID,1260,0.00,2.00,1.00\n")

    assert told == [True, False, False]
    assert by_name(counters.read(540.0))["neuron.power"].mean == 1.0


def test_the_device_that_works_speaks_for_the_instance(tmp_path):
    neuron_device(tmp_path, 0, "POWER_STATUS_VALID,1200,0.00,1.00,0.50")
    neuron_device(tmp_path, 1, "POWER_STATUS_VALID,1200,5.00,50.00,40.00", loads=(2, 3))
    found = NeuronCounters(tmp_path, 500.0, 1230.0).read(501.0)

    assert [r.mean for r in found if r.name == "neuron.power"] == [40.0]
    assert by_name(found)["neuron.model_loads"].mean == 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("POWER_STATUS_NO_DATA,1200,0.00,0.00,0.00", "no samples"),
        ("POWER_STATUS_INVALID,1200,0.00,0.00,0.00", "sampling failed"),
        ("", "1 fields; wanted POWER_STATUS_VALID"),
        ("0.86,25.00,18.86", "3 fields"),
        ("POWER_STATUS_VALID,1200,0.86,25.00", "4 fields"),
        ("POWER_STATUS_VALID,soon,0.86,25.00,18.86", "no number"),
        ("POWER_STATUS_VALID,1200,0.86,25.00,nan", "avg nan"),
        ("POWER_STATUS_VALID,1200,9.00,8.00,8.50", "wanted 0 <= min <= avg <= max"),
        ("POWER_STATUS_VALID,1200,0.00,125.00,18.00", "max 125"),
    ],
)
def test_power_that_cannot_be_used_is_a_reason(tmp_path, text, reason):
    neuron_device(tmp_path, 0, text)
    counters = NeuronCounters(tmp_path, 500.0, 1230.0)

    assert "neuron.power" not in by_name(counters.read(501.0))
    assert reason in counters.absent["neuron.power"]
    with pytest.raises(ValueError, match=reason):
        parse_power(text)


def test_power_that_comes_back_has_no_reason(tmp_path):
    device = neuron_device(tmp_path, 0, "POWER_STATUS_NO_DATA,0,0,0,0")
    counters = NeuronCounters(tmp_path, 500.0, 1230.0)
    counters.read(501.0)
    write(device / "stats/power/utilization", "POWER_STATUS_VALID,1260,0.00,2.00,1.00\n")

    assert "neuron.power" in by_name(counters.read(502.0))
    assert "neuron.power" not in counters.absent


def test_files_that_moved_are_found_by_their_names(tmp_path):
    device = tmp_path / "sys/devices/virtual/neuron_device/neuron0"
    write(device / "stats/hardware/power/utilization", "POWER_STATUS_VALID,1200,0.00,2.00,1.00")
    write(device / "cores/0/stats/model_load_count/total", "4")
    found = by_name(NeuronCounters(tmp_path, 500.0, 1230.0).read(501.0))

    assert found["neuron.power"].mean == 1.0
    assert found["neuron.model_loads"].mean == 4


def test_no_driver_and_no_such_file_are_two_reasons(tmp_path):
    counters = NeuronCounters(tmp_path, 0.0, 0.0)
    assert counters.read(1.0) == []
    assert "no Neuron device" in counters.absent["neuron.power"]

    write(tmp_path / "sys/devices/virtual/neuron_device/neuron0/core_count", "2")
    counters = NeuronCounters(tmp_path, 0.0, 0.0)
    assert counters.read(1.0) == []
    assert set(counters.absent) == {"neuron.power", "neuron.model_loads"}
    assert "driver 2.31 moved several" in counters.absent["neuron.model_loads"]


def test_nothing_is_ever_written_to_the_driver(tmp_path):
    neuron_device(tmp_path, 0)
    paths = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert paths
    before = [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    for path in paths:
        path.chmod(0o444)
    counters = NeuronCounters(tmp_path, 500.0, 1230.0)
    counters.read(501.0)

    assert [(p, p.read_bytes(), p.stat().st_mtime_ns) for p in paths] == before


@needs_samples
def test_real_power_lines(tmp_path):
    with (SAMPLES / "power_utilization_timeseries.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    whole = [row["line"] for row in rows if row["line"].startswith("POWER_STATUS")]
    assert len(whole) == 8 + 1

    assert parse_power(whole[0]) == (1787754540, 0.32, 3.04, 1.57)
    assert parse_power(whole[7]) == (1787754600, 0.10, 2.82, 1.57)
    assert parse_power(whole[8]) == (1789180860, 0.0, 0.0, 0.0)
    # The later rows are excerpts without status and time.
    excerpts = [row["line"] for row in rows if row["line"] not in whole]
    assert excerpts
    for line in excerpts:
        with pytest.raises(ValueError, match="3 fields"):
            parse_power(line)


@needs_samples
def test_real_values_of_the_driver(tmp_path):
    values = json.loads((SAMPLES / "sysfs_values.json").read_text())["values"]["inf2.xlarge"]
    for path, value in values.items():
        write(tmp_path / "sys/devices/virtual/neuron_device" / path, value + "\n")
    counters = NeuronCounters(tmp_path, 500.0, 1787754540.0)
    readings = counters.read(501.0)
    found = by_name(readings)

    assert (found["neuron.power"].begin_s, found["neuron.power"].end_s) == (440.0, 500.0)
    assert found["neuron.power"].most == 3.04
    assert found["neuron.model_loads"].mean == 0
    # Through 88,154 executions this counter stood at 0: no rise of it is no news.
    (kind,) = [kind for kind in NEURON_SYSFS if kind.name == "neuron.model_loads"]
    loads = [r for s in (1, 2) for r in counters.read(501.0 + s) if r.name == kind.name]
    sensor = figure_of(kind, loads, 501.0, 503.0)
    assert sensor.samples == 0
    assert "stands at 0" in sensor.reason
