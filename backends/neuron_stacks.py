"""Which Neuron set-up is installed, told by distributions and device files alone.

Two stacks share the distribution ``torch-neuronx``: up to 2.9 it is built on torch-xla, from
2.10 on it is native. The package of that name on the general index is an empty 1.0.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.version import Version

from .installation import find_version
from .protocol import Fact

INDEX_URL = "https://pip.repos.neuron.amazonaws.com"
Stack = Literal["native", "xla", "placeholder", "lite", "none"]
_NATIVE_PYTHON = ((3, 12), (3, 15))


@dataclass(frozen=True, slots=True)
class NeuronSetup:
    """``stack``: what torch-neuronx is here. "lite" is libtorch-neuronx-lite without it."""

    stack: Stack
    version: str | None
    devices: tuple[str, ...]
    python: tuple[int, int]

    @property
    def facts(self) -> dict[str, Fact]:
        return {
            "stack": self.stack,
            "torch_neuronx": self.version,
            "devices": len(self.devices),
        }


def find_neuron_setup(
    dev: Path = Path("/dev"),
    version_of: Callable[[str], str | None] = find_version,
    python: tuple[int, int] = sys.version_info[:2],
) -> NeuronSetup:
    """What is installed here; the arguments stand in for this machine in tests."""
    version = version_of("torch-neuronx")
    devices = sorted(
        path.name for path in dev.glob("neuron*") if path.name.removeprefix("neuron").isdigit()
    )
    return NeuronSetup(_name_stack(version, version_of), version, tuple(devices), python)


def explain(setup: NeuronSetup, backend: str) -> tuple[str, str]:
    """Why the backend "neuron" (native) or "neuron-xla" has not what it needs, and the mend;
    two empty strings when its packages and a device are here."""
    wanted: Stack = "native" if backend == "neuron" else "xla"
    problems = []
    if not setup.devices:
        problems.append(
            (
                "there is no Neuron device (/dev/neuron*)",
                "run on a Trainium or Inferentia instance with its driver (aws-neuronx-dkms)",
            )
        )
    if wanted == "native" and not _NATIVE_PYTHON[0] <= setup.python < _NATIVE_PYTHON[1]:
        python = ".".join(map(str, setup.python))
        problems.append(
            (
                f"this is Python {python}, and native torch-neuronx needs 3.12 to 3.14",
                "make an environment with Python 3.12 to 3.14",
            )
        )
    if setup.stack != wanted:
        install = f'pip install "{_REQUIREMENTS[wanted]}" --extra-index-url {INDEX_URL}'
        reason, first = _explain_stack(setup, wanted)
        problems.append((reason, f"{first}; {install}" if first else install))
    # The package comes first in the reason, and last in what to do about it.
    return (
        "; ".join(reason for reason, _ in reversed(problems)),
        "; ".join(mend for _, mend in problems),
    )


def _explain_stack(setup: NeuronSetup, wanted: Stack) -> tuple[str, str]:
    """Why what is installed isn't the stack wanted, and what to do before installing that."""
    match setup.stack:
        case "placeholder":
            reason = (
                f"torch-neuronx {setup.version} is an empty placeholder: "
                "it was installed from the wrong index"
            )
            return reason, "pip uninstall torch-neuronx"
        case "none":
            return "torch-neuronx is not installed", ""
        case "lite":
            reason = (
                "libtorch-neuronx-lite is installed, which compiles but runs no eager work; "
                "torch-neuronx is not"
            )
            return reason, "make another environment"
    kinds = {"native": "the native stack", "xla": "the XLA stack"}
    reason = (
        f"torch-neuronx {setup.version} is {kinds[setup.stack]}, "
        f"and this backend needs {kinds[wanted]}"
    )
    return reason, "make another environment, since the two can't share one"


_REQUIREMENTS = {"native": "torch-neuronx>=2.13,<2.15", "xla": "torch-neuronx==2.9.*"}


def _name_stack(version: str | None, version_of: Callable[[str], str | None]) -> Stack:
    if version is None:
        return "lite" if version_of("libtorch-neuronx-lite") else "none"
    release = Version(version).release
    # Real releases have four or more parts and begin with torch's own version.
    if release in {(1,), (1, 0), (1, 0, 0)}:
        return "placeholder"
    return "native" if release >= (2, 10) else "xla"
