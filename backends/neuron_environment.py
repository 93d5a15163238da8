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
from .ruled_out import find_ruled_out
from .threads import set_thread_variables

#: By this name neuron-monitor tells a worker from other processes.
PROCESS_TAG = "trnbench"
#: Where the stack keeps NEFFs when nobody says: in torch-neuronx 2.10 at least.
DEFAULT_CACHE = Path("/tmp/neff_cache")  # noqa: S108 - the stack's choice, and only read
_TOOLS = "/opt/aws/neuron/bin"
#: Variables under which there is nothing to measure, and why.
RULED_OUT = {"NEURON_LAUNCH_BLOCKING": "makes every operator wait for the device"}
#: Variables that decide what is measured: of those that an import sets, these are facts.
_TELLING = ("NEURON_RT_", "NEURON_CC_", "TORCH_NEURONX_", "NEURON_LOGICAL", "XLA_", "PJRT_")
#: Values fit to be published: a short word or number, cores by index. No path or host has this form,
#: and no key or id that is as short: an account has 12 digits, an instance's id 17 letters.
_PLAIN = re.compile(r"(?!\d{12})[A-Za-z0-9_]{0,16}|\d{1,4}(?:[-,]\d{1,4})+|-?\d{1,9}\.\d{1,9}")
_SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_HIDDEN = "(set)"


def prepare(environment: dict[str, str], settings: Settings, cores: str) -> None:
    """Set what the worker must have before it imports torch; ``cores`` are those it may claim.

    Raises ``ValueError`` for a variable under which a measurement would be none, and for compiler
    flags that can't be read.
    """
    ruled_out = find_ruled_out(environment, settings, RULED_OUT)
    if ruled_out is not None:
        raise ValueError(ruled_out)
    split_compiler_flags(environment)  # here, since the worker could only fail on them
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


def split_compiler_flags(environment: Mapping[str, str]) -> list[str]:
    """The words of NEURON_CC_FLAGS, as a shell splits them. Raises ``ValueError`` where a quote
    isn't closed."""
    given = environment.get("NEURON_CC_FLAGS", "")
    try:
        return shlex.split(given)
    except ValueError as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        raise ValueError(
            f"NEURON_CC_FLAGS is: {given}; options as a shell splits them wanted, and there is "
            f"{reason}: close the quote, or unset it"
        ) from error


def read_compiler_flags(environment: Mapping[str, str]) -> dict[str, str]:
    """The compiler's options by name without dashes, "" for one without a value: both
    ``--auto-cast=none`` and ``--auto-cast none`` are {"auto-cast": "none"}."""
    flags: dict[str, str] = {}
    name = ""
    for word in split_compiler_flags(environment):
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
    """Facts about what the compiler was told, and about the variables that importing the stack
    changed: ``before`` and ``after`` are the whole environment. Facts are published: a value is
    told only where it is plain; other variables that changed are counted."""
    flags = {name: _show(name, value) for name, value in read_compiler_flags(after).items()}
    changed = {name: value for name, value in sorted(after.items()) if before.get(name) != value}
    told = {
        name: value
        for name, value in changed.items()
        if name.startswith(_TELLING) and _show(name, value) != _HIDDEN
    }
    rounding = "NEURON_RT_STOCHASTIC_ROUNDING_EN"
    return {
        "stochastic_rounding": _show(rounding, after[rounding]) if rounding in after else None,
        "auto_cast": flags.get("auto-cast"),
        "auto_cast_type": flags.get("auto-cast-type"),
        "native_int64": flags.get("native-int64"),
        "implicit_integer_downcast": flags.get("implicit-integer-downcast"),
        "compiler_flags": _join(flags),
        "variables_set_by_import": _join(told),
        "variables_set_by_import_not_told": len(changed) - len(told),
    }


def _show(name: str, value: str) -> str:
    """The value, or that there is one."""
    return value if _PLAIN.fullmatch(value) and not _SECRET.search(name) else _HIDDEN


def _join(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
