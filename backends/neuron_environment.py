"""The environment of a worker for the native Neuron stack, and what it says about a run.

Variables and their meanings: AWS Neuron SDK 2.32 and 2.33 documentation and the sources of
torch-neuronx 2.10 (read 2026-11-23).
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from .protocol import Fact, Settings
from .threads import set_thread_variables

#: By this name neuron-monitor tells a worker from other processes.
PROCESS_TAG = "trnbench"
#: Where the stack keeps NEFFs when nobody says: in torch-neuronx 2.10 at least.
DEFAULT_CACHE = Path("/tmp/neff_cache")  # noqa: S108 - the stack's choice, and only read
_TOOLS = "/opt/aws/neuron/bin"
_ON = frozenset({"1", "true", "yes"})
#: Variables under which there is nothing to measure, why, and what to do.
_RULED_OUT = {
    "NEURON_LAUNCH_BLOCKING": "makes every operator wait for the device",
    "TORCH_NEURONX_COMPILE_ONLY": "compiles, and computes nothing",
    "NEURON_EXTRACT_GRAPHS_ONLY": "compiles, and computes nothing",
}
#: Values fit to be published: no path, address or URL.
_PLAIN = re.compile(r"[\w.,+-]{0,80}")


def prepare(environment: dict[str, str], settings: Settings, cores: str) -> None:
    """Set what the worker must have before it imports torch; ``cores`` are those it may claim.

    Raises ``ValueError`` for a variable under which a measurement would be none.
    """
    for name, effect in _RULED_OUT.items():
        if environment.get(name, "").lower() in _ON:
            raise ValueError(
                f"{name}={environment[name]} {effect}, so that nothing can be timed: unset it"
            )
    set_thread_variables(environment, settings)
    environment |= {
        "NEURON_RT_VISIBLE_CORES": cores,
        "TORCH_NEURONX_METRICS_ENABLED": "1",
        "TORCH_NEURONX_DISABLE_FALLBACK_EXECUTION": "1",
    }
    environment.setdefault("NEURON_PROCESS_TAG", PROCESS_TAG)
    if settings.lnc is not None:
        environment["NEURON_LOGICAL_NC_CONFIG"] = str(settings.lnc)
    if settings.cache is not None:
        _set_caches(environment, Path(settings.cache))
    set_path(environment)


def set_path(environment: dict[str, str]) -> None:
    """The compiler is looked up by name: this interpreter's own comes before any other. Neuron's
    tools call each other."""
    own, path = str(Path(sys.executable).parent), environment.get("PATH", os.defpath)
    environment["PATH"] = os.pathsep.join(dict.fromkeys([own, *path.split(os.pathsep), _TOOLS]))


def _set_caches(environment: dict[str, str], cache: Path) -> None:
    """Everything that the stack keeps between processes goes below ``cache``: a cache left in
    its default place would make a cold run warm."""
    environment |= {
        "TORCH_NEURONX_NEFF_CACHE_DIR": str(cache / "neff"),
        "TORCH_NEURONX_NEFF_LOCAL_CACHE_DIR": str(cache / "neff_local"),
        "TORCH_NEURONX_HLO_CACHE_DIR": str(cache / "hlo"),
        "NEURON_COMPILE_CACHE_URL": str(cache / "neuronx_cc"),
    }


def count_cache_files(environment: Mapping[str, str]) -> int | None:
    """Files in the NEFF cache; 0 where the folder that was named isn't there yet, ``None``
    where none was named and there is none in the default place."""
    named = environment.get("TORCH_NEURONX_NEFF_CACHE_DIR")
    folder = Path(named) if named else DEFAULT_CACHE
    if not folder.is_dir():
        return 0 if named else None
    return sum(path.is_file() for path in folder.rglob("*"))


def snapshot(environment: Mapping[str, str]) -> dict[str, str]:
    """The stack's own variables."""
    return {
        name: value
        for name, value in sorted(environment.items())
        if name.startswith(("NEURON_", "TORCH_NEURONX_"))
    }


def read_compiler_flags(environment: Mapping[str, str]) -> dict[str, str]:
    """The compiler's options by name without dashes, "" for one without a value: both
    ``--auto-cast=none`` and ``--auto-cast none`` are {"auto-cast": "none"}."""
    flags: dict[str, str] = {}
    name = ""
    for word in shlex.split(environment.get("NEURON_CC_FLAGS", "")):
        if word.startswith("-"):
            name, _, value = word.lstrip("-").partition("=")
            flags[name] = value
        elif name:
            flags[name] = word
    return flags


def auto_cast(environment: Mapping[str, str]) -> str | None:
    """The dtype in which the compiler was told to compute fp32 (matmuls at least): "bf16",
    "fp16", "tf32" or "fp8_e4m3"; ``None`` where it wasn't told to."""
    flags = read_compiler_flags(environment)
    if flags.get("auto-cast", "none") == "none":
        return None
    return flags.get("auto-cast-type", "bf16")


def describe(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, Fact]:
    """Facts about the variables as they were before and after the import of the stack, which
    sets some itself. Paths and addresses are left out: facts are published."""
    flags = read_compiler_flags(after)
    now, then = snapshot(after), snapshot(before)
    changed = {name: value for name, value in now.items() if then.get(name) != value}
    return {
        "stochastic_rounding": after.get("NEURON_RT_STOCHASTIC_ROUNDING_EN"),
        "auto_cast": flags.get("auto-cast"),
        "auto_cast_type": flags.get("auto-cast-type"),
        "native_int64": flags.get("native-int64"),
        "implicit_integer_downcast": flags.get("implicit-integer-downcast"),
        "compiler_flags": _join(flags),
        "variables": _join(now),
        "variables_set_by_import": _join(changed),
    }


def _join(values: Mapping[str, str]) -> str:
    shown = (
        f"{name}={value}" if _PLAIN.fullmatch(value) else f"{name}=(set)"
        for name, value in values.items()
    )
    return " ".join(shown)
