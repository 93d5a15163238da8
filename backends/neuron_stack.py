"""Which Neuron stack is installed, told by distributions alone, never by importing anything.

Two stacks share the distribution ``torch-neuronx`` and the name that it is imported by: up to 2.9
it is built on torch-xla, from 2.10 on it is native. The package of that name on the general index
is an empty 1.0. Source: AWS Neuron documentation, frameworks/torch/about, and the release notes
of TorchNeuron for SDK 2.33 (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

INDEX_URL = "https://pip.repos.neuron.amazonaws.com"
Stack = Literal["native", "xla", "lite", "placeholder", "both", "none"]
LITE = "libtorch-neuronx-lite"
XLA_PARTS = ("torch-xla", "libneuronxla")

REQUIREMENTS: Mapping[str, str] = {
    "native": "torch-neuronx>=2.13,<2.15",
    "xla": "torch-neuronx==2.9.*",
}
#: What the release notes say, for a torch-neuronx that isn't here to say it itself.
PYTHONS: Mapping[str, str] = {"native": ">=3.12,<3.15", "xla": ">=3.11,<3.14"}
NAMES: Mapping[str, str] = {"native": "the native stack", "xla": "the XLA stack"}


class Problem(NamedTuple):
    """Something that rules a stack out, and what to do about it."""

    reason: str
    mend: str


def name_stack(versions: Mapping[str, str], all_versions: tuple[str, ...]) -> Stack:
    """``versions`` are the distributions of the stacks that are here; ``all_versions`` those of
    torch-neuronx alone, of which an environment can hold several. "lite" is libtorch-neuronx-lite
    without torch-neuronx."""
    if "torch-neuronx" not in versions:
        return "lite" if LITE in versions else "none"
    kinds = {_kind_of(version) for version in (versions["torch-neuronx"], *all_versions)}
    kinds.discard("placeholder")
    if not kinds:
        return "placeholder"
    mixed = LITE in versions or ("native" in kinds and all(p in versions for p in XLA_PARTS))
    if len(kinds) > 1 or mixed:
        return "both"
    return kinds.pop()


def find_package_problem(
    stack: Stack, wanted: Stack, versions: Mapping[str, str], all_versions: tuple[str, ...]
) -> Problem | None:
    """Why what is installed isn't the stack wanted."""
    if stack == wanted:
        return None
    install = f'pip install "{REQUIREMENTS[wanted]}" --extra-index-url {INDEX_URL}'
    version = versions.get("torch-neuronx")
    match stack:
        case "placeholder":
            return Problem(
                f"torch-neuronx {version} is an empty placeholder: it came from the wrong index",
                f"pip uninstall torch-neuronx; {install}",
            )
        case "none":
            return Problem("torch-neuronx is not installed", install)
        case "lite":
            return Problem(
                f"{LITE} is installed, which compiles for vLLM and runs no eager work, and "
                "torch-neuronx is not: this stack can't be measured",
                f"make another environment; {install}",
            )
        case "both":
            return Problem(
                f"two Neuron stacks are mixed in this environment: {_list(versions, all_versions)}",
                f"make a new environment with one of them; {install}",
            )
    return Problem(
        f"torch-neuronx {version} is {NAMES[stack]}, and this backend needs {NAMES[wanted]}",
        f"make another environment, since the two can't share one; {install}",
    )


def find_plugin_problem(versions: Mapping[str, str]) -> Problem | None:
    """What the XLA stack misses beside torch-neuronx: without its plugin, torch-xla would run
    on the CPU or not start."""
    missing = [
        name for name in XLA_PARTS if name not in versions or _is_placeholder(versions[name])
    ]
    if not missing:
        return None
    return Problem(
        f"the XLA stack is incomplete: {' and '.join(missing)} "
        f"{'is' if len(missing) == 1 else 'are'} not installed, "
        "so that torch-xla has no plugin for Neuron devices",
        f"pip install --force-reinstall {' '.join(missing)} "
        f'"{REQUIREMENTS["xla"]}" --extra-index-url {INDEX_URL}',
    )


def find_torch_problem(versions: Mapping[str, str]) -> Problem | None:
    """Why this torch isn't the one that torch-neuronx is built for: their first two numbers must
    agree, and those of torch-xla where the stack has one."""
    built_for = _minor(versions["torch-neuronx"])
    if "torch" not in versions:
        return Problem("torch is not installed", f'pip install "torch=={built_for}.*"')
    names = ["torch"]
    if _kind_of(versions["torch-neuronx"]) == "xla" and "torch-xla" in versions:
        names.append("torch-xla")
    others = [name for name in names if _minor(versions[name]) != built_for]
    if not others:
        return None
    found = " and ".join(f"{name} {versions[name]}" for name in others)
    wanted = " ".join(f'"{name}=={built_for}.*"' for name in others)
    return Problem(
        f"torch-neuronx {versions['torch-neuronx']} is built for torch {built_for}, "
        f"and {found} is installed",
        f"pip install {wanted}",
    )


def find_python_problem(
    wanted: Stack, python: tuple[int, int], requires_python: str | None
) -> Problem | None:
    """Why this Python can't run the stack, by what the installed torch-neuronx requires, or by
    what is known of it where it isn't installed."""
    needed = PYTHONS[wanted] if requires_python is None else requires_python
    try:
        allowed = SpecifierSet(needed)
    except InvalidSpecifier:
        allowed = SpecifierSet(PYTHONS[wanted])
    here = ".".join(map(str, python))
    # The last number isn't known here; any that fits will do.
    if any(allowed.contains(version) for version in (here, f"{here}.99")):
        return None
    return Problem(
        f"this is Python {here}, and torch-neuronx of {NAMES[wanted]} needs Python {needed}",
        f"make an environment with a Python that is {needed}",
    )


def _kind_of(version: str) -> Stack:
    if _is_placeholder(version):
        return "placeholder"
    return "native" if Version(version).release >= (2, 10) else "xla"


def _is_placeholder(version: str) -> bool:
    # Real releases have three or more numbers that aren't zero, or are far from 1.0.
    release = Version(version).release
    return release[0] == 1 and not any(release[1:])


def _minor(version: str) -> str:
    return ".".join(map(str, Version(version).release[:2]))


def _list(versions: Mapping[str, str], all_versions: tuple[str, ...]) -> str:
    several = dict.fromkeys((versions["torch-neuronx"], *all_versions))
    names = [f"torch-neuronx {version}" for version in several]
    names += [f"{name} {versions[name]}" for name in (*XLA_PARTS, LITE) if name in versions]
    return ", ".join(names)
