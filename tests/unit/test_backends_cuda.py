"""The CUDA backend's logic, on a stand-in for torch that notes the order of events."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from trnbench.backends import cuda as module
from trnbench.backends import timing
from trnbench.backends.cuda import CudaBackend
from trnbench.backends.nvml import Nvml, name_throttle_reasons, open_nvml
from trnbench.backends.protocol import Settings

L2_BYTES = 50 * 2**20


class OutOfMemoryError(RuntimeError):
    pass


class Buffer:
    def __init__(self, log, nbytes):
        self.log = log
        self.nbytes = nbytes

    def numel(self):
        return self.nbytes

    def zero_(self):
        self.log.append("flush")


class FakeTorch:
    """torch, as far as the backend uses it: one H100 with 50 MiB of L2."""

    OutOfMemoryError = OutOfMemoryError
    uint8 = "uint8"

    def __init__(self, name="NVIDIA H100 80GB HBM3", capability=(9, 0), available=True, hip=None):
        self.log = []
        self.now_ms = 0.0
        self.allocated = 1000
        self.peak = 0
        self.version = SimpleNamespace(cuda=None if hip else "13.0", hip=hip)
        self.backends = SimpleNamespace(
            cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=None)),
            cudnn=SimpleNamespace(allow_tf32=True),  # torch's own default
        )
        properties = SimpleNamespace(
            name=name,
            major=capability[0],
            minor=capability[1],
            total_memory=80 * 2**30,
            multi_processor_count=132,
            L2_cache_size=L2_BYTES,
            uuid="0000-1111",
        )
        outer = self

        class Event:
            made = 0

            def __init__(self, enable_timing):
                assert enable_timing
                self.number = Event.made
                Event.made += 1

            def record(self):
                outer.log.append(f"record {self.number}")
                self.at_ms = outer.now_ms

            def elapsed_time(self, later):
                outer.log.append("elapsed")
                return later.at_ms - self.at_ms

        self.cuda = SimpleNamespace(
            Event=Event,
            is_available=lambda: available,
            device_count=lambda: 2,
            set_device=lambda index: self.log.append(f"device {index}"),
            synchronize=lambda index: self.log.append("wait"),
            get_device_properties=lambda index: properties,
            memory_allocated=lambda index: self.allocated,
            max_memory_allocated=lambda index: self.peak,
            reset_peak_memory_stats=lambda index: self.log.append("reset"),
        )
        self.properties = properties

    def empty(self, nbytes, dtype, device):
        assert dtype == "uint8"
        assert device.startswith("cuda:")
        self.allocated += nbytes
        return Buffer(self.log, nbytes)

    def call(self):
        self.log.append("call")
        self.now_ms += 0.25


def no_nvml():
    return None, "nvidia-ml-py is not installed"


def started(fake, settings=None, nvml=no_nvml):
    backend = CudaBackend(lambda: fake, nvml)
    backend.start(settings or Settings())
    fake.log.clear()
    return backend


def test_sustained_waits_on_both_sides_with_the_events_between():
    fake = FakeTorch()
    stamp = started(fake).time_sustained(fake.call, 4)

    assert fake.log == ["wait", "record 0", *["call"] * 4, "record 1", "wait", "elapsed"]
    assert stamp.device_ns == 4 * 250_000
    assert stamp.calls == 4


def test_isolated_flushes_and_waits_before_each_call_outside_the_events():
    fake = FakeTorch()
    stamp = started(fake).time_isolated(fake.call, 3)

    one = ["flush", "wait", "record 0", "call", "record 1", "wait", "elapsed"]
    assert fake.log == one * 3
    assert stamp.device_ns == 3 * 250_000
    assert stamp.calls == 3


def test_the_flush_is_outside_the_wall_time(monkeypatch):
    fake = FakeTorch()
    backend = started(fake)
    wall = {"ns": 0}
    monkeypatch.setattr(timing.time, "perf_counter_ns", lambda: wall["ns"])
    backend._flush_buffer.zero_ = lambda: wall.update(ns=wall["ns"] + 10**6)

    stamp = backend.time_isolated(lambda: wall.update(ns=wall["ns"] + 7), 3)

    assert stamp.wall_ns == 21


def test_the_flush_buffer_is_twice_the_cache_and_no_part_of_a_case_s_memory():
    fake = FakeTorch()
    backend = started(fake)
    fake.peak = 2 * L2_BYTES + 5000
    backend.reset_peak_memory()

    assert backend.identity().facts["flush_bytes"] == 2 * L2_BYTES
    assert backend.peak_memory_bytes()[0] == 5000
    assert fake.log == ["reset"]
    assert backend.isolated_cache == "flushed"


def test_a_device_that_hides_its_cache_is_flushed_beyond_the_largest_known():
    fake = FakeTorch()
    fake.properties.L2_cache_size = 0
    identity = started(fake).identity()

    assert identity.facts["flush_bytes"] >= 2 * 126 * 10**6
    assert identity.facts["l2_bytes"] is None


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_as_asked_and_recorded(allowed):
    fake = FakeTorch()
    backend = started(fake, Settings(allow_tf32=allowed))
    identity = backend.identity()

    assert fake.backends.cuda.matmul.allow_tf32 is allowed
    assert fake.backends.cudnn.allow_tf32 is allowed
    assert identity.facts["allow_tf32_matmul"] is allowed
    assert identity.facts["allow_tf32_convolution"] is allowed
    assert backend.executed_dtype("fp32") == ("tf32" if allowed else "fp32")
    assert backend.executed_dtype("bf16") == "bf16"


@pytest.mark.parametrize("fake", [FakeTorch(capability=(7, 5)), FakeTorch(hip="7.1")])
def test_a_device_without_tf32_computes_fp32(fake):
    assert started(fake, Settings(allow_tf32=True)).executed_dtype("fp32") == "fp32"


@pytest.mark.parametrize(("index", "fine"), [(0, True), (1, True), (2, False), (-1, False)])
def test_only_a_device_that_is_there_is_claimed(index, fine):
    fake = FakeTorch()
    backend = CudaBackend(lambda: fake, no_nvml)
    if not fine:
        with pytest.raises(RuntimeError, match=f"device {index} was asked for.*2 cuda devices"):
            backend.start(Settings(device_index=index))
        return
    backend.start(Settings(device_index=index))

    assert f"device {index}" in fake.log
    assert backend.identity().index == index


def test_start_fails_where_torch_sees_no_device():
    with pytest.raises(RuntimeError, match="is_available"):
        CudaBackend(lambda: FakeTorch(available=False), no_nvml).start(Settings())


def test_start_fails_where_launches_would_block(monkeypatch):
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")

    with pytest.raises(RuntimeError, match=r"CUDA_LAUNCH_BLOCKING.*unset"):
        CudaBackend(FakeTorch, no_nvml).start(Settings())


def test_out_of_memory_is_told_from_other_errors():
    backend = started(FakeTorch())

    assert backend.is_out_of_memory(OutOfMemoryError("CUDA out of memory"))
    assert backend.is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"))
    assert backend.is_out_of_memory(MemoryError())
    assert not backend.is_out_of_memory(RuntimeError("CUDA error: an illegal memory access"))


@pytest.mark.parametrize(
    ("capability", "triton", "cc", "word"),
    [
        ((6, 1), True, "/usr/bin/gcc", "capability"),
        ((9, 0), False, "/usr/bin/gcc", "triton"),
        ((9, 0), True, None, "C compiler"),
    ],
)
def test_compiled_is_refused_for_what_is_missing(monkeypatch, capability, triton, cc, word):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(module.util, "find_spec", lambda name: object() if triton else None)
    monkeypatch.setattr("shutil.which", lambda name: cc)
    refusal = started(FakeTorch(capability=capability)).refusal("fp32", "compiled")

    assert word in refusal.reason
    assert refusal.mend


# --------------------------------------------------------------------- availability


@pytest.fixture
def build(monkeypatch):
    """What torch's version file says, and a machine on which nothing else answers."""
    facts = {"__version__": "2.13.0+cu130", "cuda": "13.0", "hip": None, "xpu": None}
    monkeypatch.setattr(module, "read_torch_build", lambda: facts)
    monkeypatch.setattr(module, "check_torch", lambda: None)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return facts


def find(tmp_path, nvml=no_nvml):
    return CudaBackend(FakeTorch, nvml, tmp_path).availability()


def test_a_build_without_cuda(build, tmp_path):
    build |= {"cuda": None, "__version__": "2.13.0+cpu"}
    (tmp_path / "nvidia0").touch()
    found = find(tmp_path)

    assert not found.available
    assert "2.13.0+cpu is built without CUDA" in found.reason
    assert found.mend


def test_no_driver_and_no_device(build, tmp_path):
    found = find(tmp_path)

    assert not found.available
    assert "no NVIDIA GPU or driver" in found.reason
    assert "driver" in found.mend


def test_a_device_file_is_enough_where_nothing_can_be_asked(build, tmp_path):
    (tmp_path / "nvidia0").touch()

    assert find(tmp_path).available


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_devices_that_are_hidden(build, tmp_path, monkeypatch, hidden):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    found = find(tmp_path)

    assert not found.available
    assert "CUDA_VISIBLE_DEVICES" in found.mend


@pytest.mark.parametrize(("driver_cuda", "available"), [(13010, True), (12080, False)])
def test_a_driver_older_than_torch_s_cuda(build, tmp_path, driver_cuda, available):
    library = FakeLibrary(cuda=driver_cuda)
    found = find(tmp_path, lambda: open_nvml(lambda: library))

    assert found.available is available
    assert found.facts["driver"] == "580.65.06"
    if not available:
        assert "serves CUDA 12" in found.reason
        assert "update the driver" in found.mend


def test_a_rocm_build_needs_its_own_driver(build, tmp_path):
    build |= {"cuda": None, "hip": "7.1"}

    assert not find(tmp_path).available
    (tmp_path / "kfd").touch()
    assert find(tmp_path).available


# ------------------------------------------------------------------------------ NVML


class FakeLibrary:
    """pynvml, with a power reading that this GPU hasn't."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    class NVMLError(Exception):
        pass

    def __init__(self, reasons=0, cuda=13000, works=True):
        self.reasons, self.cuda, self.works = reasons, cuda, works

    def nvmlInit(self):  # noqa: N802
        if not self.works:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlSystemGetDriverVersion(self):  # noqa: N802
        return b"580.65.06"

    def nvmlSystemGetCudaDriverVersion(self):  # noqa: N802
        return self.cuda

    def nvmlDeviceGetCount(self):  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return "NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        assert uuid == "GPU-0000-1111"
        return 0

    def nvmlDeviceGetClockInfo(self, handle, kind):  # noqa: N802
        return {1: 1980, 2: 2619}[kind]

    def nvmlDeviceGetTemperature(self, handle, sensor):  # noqa: N802
        return 61

    def nvmlDeviceGetPowerUsage(self, handle):  # noqa: N802
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle):  # noqa: N802
        return self.reasons


@pytest.mark.parametrize(
    ("bits", "throttled", "reasons"),
    [
        (0x0, False, ""),
        (0x1 | 0x2, False, ""),
        (0x4, True, "software power cap"),
        (0x8 | 0x40 | 0x1, True, "hardware slowdown, hardware thermal slowdown"),
    ],
)
def test_health_in_si_units_with_unknown_as_none(bits, throttled, reasons):
    health = started(FakeTorch(), nvml=lambda: (Nvml(FakeLibrary(bits)), "")).health()

    assert health == {
        "sm_clock_hz": 1_980_000_000,
        "memory_clock_hz": 2_619_000_000,
        "temperature_celsius": 61,
        "power_watts": None,
        "throttled": throttled,
        "throttle_reasons": reasons,
    }


def test_an_unknown_throttle_bit_is_shown_by_its_number():
    assert name_throttle_reasons(0x4 | 0x1000) == ("software power cap", "unknown bits 0x1000")


def test_health_without_nvml_says_why():
    assert started(FakeTorch()).health() == {"nvml": "nvidia-ml-py is not installed"}


def test_nvml_that_is_missing_or_silent_is_a_reason():
    def missing():
        raise ImportError("pynvml")

    assert open_nvml(missing) == (None, "nvidia-ml-py is not installed")
    nvml, reason = open_nvml(lambda: FakeLibrary(works=False))
    assert nvml is None
    assert "Driver Not Loaded" in reason
