"""NVIDIA GPUs (and AMD's, through the same interface of a ROCm build of torch).

Written from the documentation of torch 2.13 (``torch.cuda``, "CUDA semantics") and of NVML,
and tested on a stand-in for torch. What only hardware can confirm:

- that a write of twice the L2 cache's size evicts the operands of the next call;
- how far ``device_ns`` exceeds the kernels' own time: the span between two events includes the
  gaps in which the device waits for the host, and in the isolated regime the launch latency;
- which NVML readings a given GPU has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from importlib import util
from pathlib import Path
from typing import Any, ClassVar, Literal

from .accelerator import AcceleratorBackend, import_torch
from .graphs import named_cache
from .installation import check_torch, read_torch_build
from .nvml import Nvml, open_nvml
from .protocol import Availability, Call, DeviceIdentity, Fact, Refusal, Settings, Stamp
from .threads import set_threads
from .timing import run_queued, time_each, time_loop
from .toolchain import refuse_to_launch

#: Where the device doesn't tell its cache's size: twice the largest of any GPU so far (126 MB).
_FLUSH_BYTES_UNTOLD = 2 * 126 * 10**6
_TF32_CAPABILITY = (8, 0)
_TRITON_CAPABILITY = (7, 0)
_OUT_OF_MEMORY = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


class CudaBackend(AcceleratorBackend):
    """``load_torch`` and ``nvml`` stand in for the real ones in tests."""

    name: ClassVar[str] = "cuda"
    isolated_cache: ClassVar[Literal["warm", "flushed"]] = "flushed"

    def __init__(
        self,
        load_torch: Callable[[], Any] = import_torch,
        nvml: Callable[[], tuple[Nvml | None, str]] = open_nvml,
        dev: Path = Path("/dev"),
    ) -> None:
        super().__init__(load_torch)
        self._open_nvml = nvml
        self._dev = dev
        self._nvml: Nvml | None = None
        self._nvml_reason = "the backend was not started"
        self._flush_buffer: Any = None
        self._flush_charge_bytes = 0
        self._events: tuple[Any, Any] = (None, None)

    def availability(self) -> Availability:
        unavailable = check_torch()
        if unavailable is not None:
            return unavailable
        build = read_torch_build()
        facts: dict[str, Fact] = {
            "torch": build.get("__version__"),
            "torch_cuda": build.get("cuda"),
            "torch_hip": build.get("hip"),
        }
        if not build.get("cuda") and not build.get("hip"):
            return Availability(
                available=False,
                reason=f"torch {build.get('__version__')} is built without CUDA",
                mend="install a CUDA build (https://pytorch.org/get-started/locally)",
                facts=facts,
            )
        if build.get("hip"):
            return self._find_amd(facts)
        return self._find_nvidia(facts)

    def _find_amd(self, facts: dict[str, Fact]) -> Availability:
        if not (self._dev / "kfd").exists():
            return Availability(
                available=False,
                reason="there is no AMD GPU driver: no /dev/kfd",
                mend="install ROCm's kernel driver, or pass /dev/kfd and /dev/dri to the container",
                facts=facts,
            )
        return Availability(True, "torch is built with ROCm, and its driver is here", facts=facts)

    def _find_nvidia(self, facts: dict[str, Fact]) -> Availability:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        if hidden is not None and hidden.strip() in {"", "-1"}:
            return Availability(
                available=False,
                reason=f"CUDA_VISIBLE_DEVICES='{hidden}' hides every GPU",
                mend="unset CUDA_VISIBLE_DEVICES, or name a device in it",
                facts=facts,
            )
        nvml, _ = self._open_nvml()
        if nvml is not None:
            names = nvml.names()
            facts |= {"driver": nvml.driver_version(), "devices": ", ".join(names)}
            major = str(facts["torch_cuda"]).partition(".")[0]
            if major.isdigit() and int(major) > nvml.cuda_major():
                return Availability(
                    available=False,
                    reason=f"the driver ({facts['driver']}) serves CUDA {nvml.cuda_major()}, "
                    f"and torch is built for CUDA {facts['torch_cuda']}",
                    mend=f"update the driver, or install torch built for CUDA {nvml.cuda_major()}",
                    facts=facts,
                )
            if names:
                return Availability(True, f"{len(names)} NVIDIA GPU(s): {names[0]}", facts=facts)
        else:
            names = tuple(self._list_with_tool())
            if names:
                facts["devices"] = ", ".join(names)
                return Availability(True, f"{len(names)} NVIDIA GPU(s): {names[0]}", facts=facts)
            if (self._dev / "nvidia0").exists() or (self._dev / "dxg").exists():
                return Availability(True, "there is an NVIDIA device file", facts=facts)
        return Availability(
            available=False,
            reason="there is no NVIDIA GPU or driver: neither NVML nor nvidia-smi lists one, "
            "and there is no /dev/nvidia0",
            mend="install NVIDIA's driver, or start the container with --gpus all",
            facts=facts,
        )

    def _list_with_tool(self) -> Iterator[str]:
        """Device names as nvidia-smi gives them: no line holds a serial number."""
        tool = shutil.which("nvidia-smi")
        if tool is None:
            return
        try:
            done = subprocess.run(
                [tool, "--query-gpu=name", "--format=csv,noheader"],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return
        if done.returncode == 0:
            yield from (line.strip() for line in done.stdout.splitlines() if line.strip())

    def start(self, settings: Settings) -> None:
        if os.environ.get("CUDA_LAUNCH_BLOCKING", "0") not in {"", "0"}:
            raise RuntimeError(
                "CUDA_LAUNCH_BLOCKING makes every launch wait for the device: unset it"
            )
        self._torch = torch = self._load_torch()
        self._cache = named_cache()
        set_threads(torch, settings)
        self._index = settings.device_index
        if not torch.cuda.is_available():
            raise RuntimeError(
                "torch.cuda.is_available() is false, and cuda was asked for: see 'trnbench doctor'"
            )
        self.require_index(torch.cuda.device_count())
        torch.cuda.set_device(self._index)
        # The older of two names for one setting: torch's own compiler still reads these, and
        # they raise once the newer names were written.
        torch.backends.cuda.matmul.allow_tf32 = settings.allow_tf32
        torch.backends.cudnn.allow_tf32 = settings.allow_tf32
        self._events = (
            torch.cuda.Event(enable_timing=True),
            torch.cuda.Event(enable_timing=True),
        )
        self._allocate_flush_buffer()
        self._nvml, self._nvml_reason = self._open_nvml()

    def _allocate_flush_buffer(self) -> None:
        torch = self._torch
        l2_bytes = int(getattr(self._properties(), "L2_cache_size", 0))
        before = int(torch.cuda.memory_allocated(self._index))
        # Twice its size, so that no replacement policy keeps much of what was there.
        self._flush_buffer = torch.empty(
            2 * l2_bytes or _FLUSH_BYTES_UNTOLD, dtype=torch.uint8, device=self.device
        )
        self._flush_charge_bytes = int(torch.cuda.memory_allocated(self._index)) - before

    def _properties(self) -> Any:
        return self._torch.cuda.get_device_properties(self._index)

    def identity(self) -> DeviceIdentity:
        torch, properties = self._torch, self._properties()
        return DeviceIdentity(
            name=str(properties.name),
            chip=None,
            chip_reason="the catalog knows devices by their names",
            share=None,
            index=self._index,
            cores_used=int(properties.multi_processor_count),
            memory_bytes=int(properties.total_memory),
            driver=self._nvml.driver_version() if self._nvml else None,
            facts={
                "capability": f"{properties.major}.{properties.minor}",
                "l2_bytes": int(getattr(properties, "L2_cache_size", 0)) or None,
                "flush_bytes": int(self._flush_buffer.numel()),
                "allow_tf32_matmul": bool(torch.backends.cuda.matmul.allow_tf32),
                "allow_tf32_convolution": bool(torch.backends.cudnn.allow_tf32),
                "torch_cuda": torch.version.cuda,
                "torch_hip": torch.version.hip,
            },
        )

    def refusal(self, dtype: str, mode: str) -> Refusal | None:
        refusal = super().refusal(dtype, mode)
        if refusal is not None or mode != "compiled":
            return refusal
        properties = self._properties()
        capability = (int(properties.major), int(properties.minor))
        if self._torch.version.hip is None and capability < _TRITON_CAPABILITY:
            return Refusal(
                f"torch.compile needs compute capability 7.0, and {properties.name} has "
                f"{capability[0]}.{capability[1]}",
                "measure it eager",
            )
        if util.find_spec("triton") is None:
            return Refusal("torch.compile needs triton for a GPU", "pip install triton")
        return refuse_to_launch()

    def executed_dtype(self, dtype: str) -> str:
        """What fp32 becomes: "tf32" where the setting says so and the device has it (NVIDIA from 8.0)."""
        if dtype != "fp32" or not self._torch.backends.cuda.matmul.allow_tf32:
            return dtype
        properties = self._properties()
        is_nvidia = self._torch.version.hip is None
        has_tf32 = (int(properties.major), int(properties.minor)) >= _TF32_CAPABILITY
        return "tf32" if is_nvidia and has_tf32 else dtype

    def synchronize(self) -> None:
        self._torch.cuda.synchronize(self._index)

    def time_sustained(self, call: Call, calls: int) -> Stamp:
        self.synchronize()
        self._events[0].record()
        return time_loop(call, calls, run_queued(self._finish), self._elapsed_ns)

    def time_isolated(self, call: Call, calls: int) -> Stamp:
        """Each call begins on an idle device with a flushed L2; flush, its wait and the first
        event lie outside the timed part."""
        return time_each(call, calls, run_queued(self._finish), self._begin, self._elapsed_ns)

    def _begin(self) -> None:
        self._flush_buffer.zero_()
        self.synchronize()
        self._events[0].record()

    def _finish(self) -> None:
        self._events[1].record()
        self.synchronize()

    def _elapsed_ns(self) -> float:
        milliseconds = float(self._events[0].elapsed_time(self._events[1]))
        return milliseconds * 1e6

    def reset_peak_memory(self) -> None:
        self._torch.cuda.reset_peak_memory_stats(self._index)

    def peak_memory_bytes(self) -> tuple[int | None, str]:
        peak_bytes = int(self._torch.cuda.max_memory_allocated(self._index))
        return peak_bytes - self._flush_charge_bytes, (
            "torch.cuda.max_memory_allocated less the buffer that flushes the L2 cache"
        )

    def health(self) -> Mapping[str, Fact]:
        uuid = getattr(self._properties(), "uuid", None)
        if self._nvml is None:
            return {"nvml": self._nvml_reason}
        if uuid is None:
            return {"nvml": "this torch doesn't tell the device's UUID"}
        return self._nvml.read_health(f"GPU-{uuid}")

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Libraries that allocate for themselves say so in the text of a plain error."""
        return super().is_out_of_memory(error) or (
            isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
        )
