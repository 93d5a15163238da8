"""Cores by index, and how many physical cores make a logical one (LNC).

Source: AWS Neuron documentation, about-neuron/arch/neuron-features/logical-neuroncore-config and
neuron-runtime/guides/configuration-guide (read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .neuron_stack import Problem

VISIBLE_CORES = "NEURON_RT_VISIBLE_CORES"
LNC = "NEURON_LOGICAL_NC_CONFIG"
#: The same under another name, in the pages about profiling.
VIRTUAL_CORE_SIZE = "NEURON_RT_VIRTUAL_CORE_SIZE"
COMPILER_FLAGS = "NEURON_CC_FLAGS"

#: Name of a device in sysfs (``None``: unknown, never in here) -> physical cores on it, and the LNC
#: values that it has, default first.
CHIPS: Mapping[str | None, tuple[int, tuple[int, ...]]] = {
    "Inferentia2": (2, (1,)),
    "Trainium1": (2, (1,)),
    "Trainium2": (8, (2, 1)),
    "Trainium3": (8, (2, 1)),
}
#: First letters of an instance type -> the chip in it.
FAMILIES: Mapping[str, str] = {
    "inf2": "Inferentia2",
    "trn1": "Trainium1",
    "trn2": "Trainium2",
    "trn3": "Trainium3",
}

_LNC_FLAG = re.compile(r"(?:^|\s)(?:--logical-nc-config|--?lnc)(?:\s*=\s*|\s+)(\S+)")


def parse_cores(text: str) -> tuple[int, ...]:
    """The cores in "0", "0-3" or "2,3", in order. Raises ``ValueError`` for anything else, and
    for cores that aren't neighbours, which the runtime refuses."""
    wanted = "neighbouring cores such as 0, 0-3 or 2,3 wanted"
    cores: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,4})(?:-(\d{1,4}))?\s*", part)
        if found is None:
            raise ValueError(f"cores '{text}' given, {wanted}")
        low, high = int(found[1]), int(found[2] or found[1])
        if low > high:
            raise ValueError(f"cores '{text}' given, which count down; {wanted}")
        cores.update(range(low, high + 1))
    ordered = sorted(cores)
    if ordered[-1] - ordered[0] + 1 != len(ordered):
        raise ValueError(f"cores '{text}' given, which have a gap; {wanted}")
    return tuple(ordered)


def find_lnc(
    environ: Mapping[str, str], listed: int | None, device_name: str | None
) -> tuple[int | None, str]:
    """Physical cores of a logical one, and where that comes from: a variable, neuron-ls, or the
    chip's default. ``None`` where nothing says."""
    for name in (LNC, VIRTUAL_CORE_SIZE):
        if environ.get(name, "") in {"1", "2"}:
            return int(environ[name]), name
    if listed is not None:
        return listed, "neuron-ls"
    if device_name in CHIPS:
        return CHIPS[device_name][1][0], f"the default of {device_name}"
    return None, ""


def find_lnc_problem(
    environ: Mapping[str, str], lnc: int | None, source: str, device_name: str | None
) -> Problem | None:
    """Why the LNC asked for can't work, and the mend."""
    for name in (LNC, VIRTUAL_CORE_SIZE):
        given = environ.get(name)
        if given is not None and given not in {"1", "2"}:
            return Problem(f"{name} is '{given}', and 1 or 2 was wanted", f"unset {name}")
    _, values = CHIPS.get(device_name, (0, (1, 2)))
    if source in {LNC, VIRTUAL_CORE_SIZE} and lnc not in values:
        return Problem(
            f"a logical core of {lnc} physical ones is asked for ({source}), "
            f"and {device_name} has no such cores",
            f"unset {source}",
        )
    asked = _LNC_FLAG.search(environ.get(COMPILER_FLAGS, ""))
    if asked is None or lnc is None or asked[1] == str(lnc):
        return None
    return Problem(
        f"the compiler is told to compile for LNC={asked[1]} ({COMPILER_FLAGS}), and the runtime "
        f"to run LNC={lnc} ({source}): compiled code would not load",
        f"export {LNC}={asked[1]}, or take the flag out of {COMPILER_FLAGS}",
    )
