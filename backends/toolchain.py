"""What torch.compile needs on the host besides torch: a C++ compiler and Python's headers."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from .protocol import Refusal


def find_cpp_compiler() -> str | None:
    """Path of the C++ compiler that Inductor will use, or ``None``.

    Inductor's own rule (``torch._inductor.config.cpp.cxx``, torch 2.13): the variable ``CXX``,
    else ``clang++`` on macOS and ``g++`` elsewhere.
    """
    return shutil.which(os.environ.get("CXX") or default_cpp_compiler())


def default_cpp_compiler() -> str:
    return "clang++" if sys.platform == "darwin" else "g++"


def find_python_header() -> Path | None:
    """Path of ``Python.h``, which Inductor's generated code includes, or ``None``."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return header if header.is_file() else None


def refuse_to_compile() -> Refusal | None:
    """Why Inductor can't compile for the CPU on this machine; ``None`` when it can."""
    if find_cpp_compiler() is None:
        asked = os.environ.get("CXX")
        if asked:
            # Only its name: a refusal stands in a record, and a path doesn't belong there.
            name = Path(asked).name
            return Refusal(
                f"torch.compile needs a C++ compiler, and CXX names '{name}', which is not found",
                "unset CXX, or set it to a compiler that is on PATH",
            )
        return Refusal(
            f"torch.compile needs a C++ compiler, and {default_cpp_compiler()} is not on PATH",
            "set CXX=clang++" if shutil.which("clang++") else _INSTALL,
        )
    return _require_python_header()


def refuse_to_launch() -> Refusal | None:
    """Why Triton can't build its launchers on this host; ``None`` when it can.

    Triton's own rule (``triton.runtime.build``): the variable ``CC``, else ``gcc`` or ``clang``.
    """
    asked = os.environ.get("CC")
    if not any(shutil.which(name) for name in ((asked,) if asked else ("gcc", "clang"))):
        return Refusal(
            "torch.compile needs a C compiler for a GPU's launchers, and there is "
            + (f"no '{Path(asked).name}', which CC names" if asked else "neither gcc nor clang"),
            _INSTALL,
        )
    return _require_python_header()


def _require_python_header() -> Refusal | None:
    if find_python_header() is not None:
        return None
    return Refusal(
        f"torch.compile needs Python.h, and Python {platform.python_version()} has none here",
        _INSTALL,
    )


_INSTALL = (
    "install the command line tools: xcode-select --install"
    if sys.platform == "darwin"
    else "install a compiler and Python's headers: apt-get install g++ python3-dev (Debian, Ubuntu)"
)


def read_compiler_version(compiler: str) -> str | None:
    """``"12.2.0"``, as the compiler itself says; ``None`` where it won't."""
    try:
        done = subprocess.run(
            [compiler, "-dumpfullversion", "-dumpversion"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
