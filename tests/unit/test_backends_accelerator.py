"""The generic code behind torch.accelerator, on a stand-in for torch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from trnbench.backends import accelerator as module
from trnbench.backends.accelerator import MpsBackend, XpuBackend
from trnbench.backends.protocol import Settings


class FakeTorch:
    """torch with two devices of one kind behind ``torch.accelerator``."""

    class OutOfMemoryError(RuntimeError):
        pass

    def __init__(self, kind="xpu"):
        self.log = []
        device = None if kind is None else SimpleNamespace(type=kind)
        self.accelerator = SimpleNamespace(
            current_accelerator=lambda check_available: device,
            device_count=lambda: 2,
            set_device_index=lambda index: self.log.append(f"device {index}"),
            synchronize=lambda: self.log.append("wait"),
            reset_peak_memory_stats=lambda index: self.log.append(f"reset {index}"),
            max_memory_allocated=lambda index: 12345,
        )
        self.xpu = SimpleNamespace(
            get_device_properties=lambda index: SimpleNamespace(
                name="Intel(R) Data Center GPU Max 1550",
                max_compute_units=512,
                total_memory=64 * 2**30,
                driver_version="1.6",
                platform_name="Intel(R) oneAPI Unified Runtime over Level-Zero",
            )
        )
        self.backends = SimpleNamespace(
            mps=SimpleNamespace(get_name=lambda: "Apple M2", get_core_count=lambda: 10)
        )
        self.mps = SimpleNamespace(recommended_max_memory=lambda: 16 * 2**30)

    def call(self):
        self.log.append("call")


def started(fake, kind=XpuBackend, settings=None):
    backend = kind(lambda: fake)
    backend.start(settings or Settings())
    fake.log.clear()
    return backend


def test_sustained_waits_on_both_sides():
    fake = FakeTorch()
    stamp = started(fake).time_sustained(fake.call, 3)

    assert fake.log == ["wait", "call", "call", "call", "wait"]
    assert (stamp.calls, stamp.device_ns) == (3, None)


def test_isolated_waits_for_each_call():
    fake = FakeTorch()
    started(fake).time_isolated(fake.call, 3)

    assert fake.log == ["wait", *["call", "wait"] * 3]


@pytest.mark.parametrize("answers", [None, "mps", "cuda"])
def test_start_fails_where_another_device_answers(answers):
    with pytest.raises(RuntimeError, match=f"answers is {answers or 'none'}, and xpu was asked"):
        XpuBackend(lambda: FakeTorch(answers)).start(Settings())


def test_the_device_asked_for_is_claimed():
    fake = FakeTorch()
    backend = XpuBackend(lambda: fake)
    backend.start(Settings(device_index=1))

    assert fake.log == ["device 1"]
    assert backend.device == "xpu:1"
    with pytest.raises(RuntimeError, match="device 2 was asked for"):
        XpuBackend(lambda: fake).start(Settings(device_index=2))


def test_an_intel_gpu_says_what_it_is_and_what_it_held():
    fake = FakeTorch()
    backend = started(fake)
    identity = backend.identity()
    backend.reset_peak_memory()

    assert identity.name == "Intel(R) Data Center GPU Max 1550"
    assert (identity.chip, identity.cores_used) == (None, 512)
    assert identity.chip_reason
    assert fake.log == ["reset 0"]
    assert backend.peak_memory_bytes()[0] == 12345


def test_an_apple_gpu_says_what_it_is_and_that_its_memory_is_unknown():
    backend = started(FakeTorch("mps"), MpsBackend)

    assert backend.identity().name == "Apple M2"
    assert backend.identity().cores_used == 10
    assert backend.peak_memory_bytes()[0] is None


def test_an_apple_gpu_is_not_started_where_operators_may_leave_it(monkeypatch):
    monkeypatch.setenv("PYTORCH_ENABLE_MPS_FALLBACK", "1")

    with pytest.raises(RuntimeError, match="run on the CPU unseen: unset it"):
        MpsBackend(lambda: FakeTorch("mps")).start(Settings())


def test_out_of_memory_is_told_from_other_errors():
    backend = started(FakeTorch())

    assert backend.is_out_of_memory(FakeTorch.OutOfMemoryError())
    assert not backend.is_out_of_memory(RuntimeError("device lost"))


@pytest.mark.parametrize(
    ("build", "nodes", "available", "word"),
    [
        (None, 1, False, "built without XPU"),
        ("20250201", 0, False, "no GPU"),
        ("20250201", 1, True, "there is a GPU"),
    ],
)
def test_what_an_intel_gpu_needs(monkeypatch, build, nodes, available, word):
    facts = {"__version__": "2.13.0", "xpu": build}
    monkeypatch.setattr(module, "read_torch_build", lambda: facts)
    monkeypatch.setattr(module, "_render_nodes", lambda: ["renderD128"] * nodes)
    found = XpuBackend().availability()

    assert found.available is available
    assert word in found.reason
    assert available or found.mend


@pytest.mark.parametrize(
    ("machine", "available"),
    [(("Darwin", "arm64"), True), (("Darwin", "x86_64"), False), (("Linux", "aarch64"), False)],
)
def test_what_an_apple_gpu_needs(monkeypatch, machine, available):
    monkeypatch.setattr(module.platform, "system", lambda: machine[0])
    monkeypatch.setattr(module.platform, "machine", lambda: machine[1])

    assert MpsBackend().availability().available is available
