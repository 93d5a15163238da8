"""The stand-in for a native Neuron installation: a real PyTorch device named ``neuron``.

How to use it, from any test (put this folder on ``sys.path``)::

    environment = {**os.environ, **install(tmp_path / "site"), **make_root(tmp_path / "root")}
    subprocess.run([sys.executable, "-c", program], env=environment)

In that process ``import torch`` loads the device by itself (entry point ``torch.backends``), and
``import torch_neuronx`` gives the native package's names. ``torch.ops.standin.busy(x, 1000)`` is
a kernel that lasts 1000 us on the device's thread; ``torch_neuronx.standin.take_stamps()`` tells
when each was queued, began, ended and was waited for. A device is registered once per process
and for good: never import it into pytest's own process.

Settings, all of them environment variables: ``STANDIN_FAIL``, ``STANDIN_FALLBACK_OPS``,
``STANDIN_MEMORY_BYTES``, ``STANDIN_LAUNCH_US``, ``STANDIN_COMPILE_MS``; see
``site/torch_neuronx/standin.py``.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from standin_root import make_root

__all__ = ["build", "install", "make_root"]

HERE = Path(__file__).resolve().parent
SOURCES = (
    "memory.cpp",
    "runtime.cpp",
    "queue.cpp",
    "programs.cpp",
    "operators.cpp",
    "kernels.cpp",
    "autocast.cpp",
    "bindings.cpp",
)
HEADERS = ("standin.h", "operators.h")
VERSION = "2.13.3.0"

METADATA = f"""\
Metadata-Version: 2.1
Name: torch-neuronx
Version: {VERSION}
Summary: stand-in for tests; it drives no hardware
Requires-Python: >=3.11
"""
ENTRY_POINTS = """\
[torch.backends]
torch_neuronx = torch_neuronx:_autoload

[torch_dynamo_backends]
neuron = torch_neuronx.dynamo:neuron
"""
BUILD = """\
import sys
from torch.utils.cpp_extension import load
load(name="standin_device", sources=sys.argv[2:], build_directory=sys.argv[1],
     extra_cflags=["-O2", "-g0", "-std=c++20"])
"""


def build() -> Path:
    """The compiled device, built on first use (about a minute on two cores) and kept by the
    content of its sources and the version of torch in ``STANDIN_BUILD_CACHE``, by default
    ``~/.cache/trnbench-standin``."""
    folder = _cache() / _build_key()
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "standin_device.so"
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test processes may come at once
        if not library.exists():
            _compile(folder)
    return library


def install(site: Path) -> dict[str, str]:
    """Lay the package ``torch_neuronx`` and its distribution out in ``site``; the variables that
    make a Python process find it there. Each site has a NEFF cache of its own, empty at first."""
    library = build()
    package = site / "torch_neuronx"
    shutil.copytree(HERE / "site" / "torch_neuronx", package, dirs_exist_ok=True)
    shutil.copy2(library, package / library.name)
    distribution = site / f"torch_neuronx-{VERSION}.dist-info"
    distribution.mkdir(parents=True, exist_ok=True)
    (distribution / "METADATA").write_text(METADATA)
    (distribution / "entry_points.txt").write_text(ENTRY_POINTS)
    (distribution / "INSTALLER").write_text("standin\n")
    (distribution / "RECORD").write_text("")
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    return {"PYTHONPATH": path, "TORCH_NEURONX_NEFF_CACHE_DIR": str(site / "neff_cache")}


def _cache() -> Path:
    chosen = os.environ.get("STANDIN_BUILD_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "trnbench-standin"


def _build_key() -> str:
    import torch

    content = hashlib.sha256(f"{torch.__version__} {sys.version}".encode())
    for name in (*SOURCES, *HEADERS):
        content.update((HERE / name).read_bytes())
    content.update(BUILD.encode())
    return content.hexdigest()[:16]


def _compile(folder: Path) -> None:
    """In a process of its own: loading the library would register the device in this one."""
    (folder / "lock").unlink(missing_ok=True)  # PyTorch's own, left by a build that was ended
    paths = [str(HERE / name) for name in SOURCES]
    with tempfile.TemporaryDirectory() as empty:
        # No stand-in may be on the path of the process that builds it.
        environment = {
            **os.environ,
            "PYTHONPATH": empty,
            "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",
            # An environment that isn't activated keeps its ninja beside its python.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
        command = [sys.executable, "-c", BUILD, str(folder), *paths]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(
            f"the stand-in device doesn't build (it needs g++, ninja and torch's headers):\n"
            f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        )
