"""Which release of the Neuron SDK a set of packages belongs to, and which driver it needs.

Sources, read 2026-11: AWS's package manifest (src/helperscripts/n2-manifest.json, to 2.32.0), the
component index of 2.33.0, the runtime's release notes, and for 2.28 an account of the packages in
AWS's own container. Only what those say is here: a version that isn't has no release.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

#: Python distributions of the stacks, whose versions belong to a record.
DISTRIBUTIONS = (
    "torch",
    "torch-neuronx",
    "torch-xla",
    "neuronx-cc",
    "libneuronxla",
    "nki",
    "nrtpy",
    "libtorch-neuronx-lite",
    "neuronx-distributed",
    "vllm-neuron",
    "numpy",
)
#: System packages of the driver, the runtime and the tools.
PACKAGES = (
    "aws-neuronx-dkms",
    "aws-neuronx-runtime-lib",
    "aws-neuronx-collectives",
    "aws-neuronx-tools",
)
DPKG = Path("var/lib/dpkg")

_DKMS, _RUNTIME, _COLLECTIVES, _TOOLS = PACKAGES
_LITE = "libtorch-neuronx-lite"
#: release -> package -> its versions there
RELEASES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "2.33.0": {
        "torch-neuronx": ("2.14.3.0", "2.13.3.0", "2.9.0.2.15.32035"),
        "neuronx-cc": ("2.28.7631.0",),
        "nki": ("0.7.0",),
        "nrtpy": ("2.35.30",),
        _DKMS: ("2.31.7.0",),
        _RUNTIME: ("2.35.30.0",),
        _COLLECTIVES: ("2.35.43.0",),
        _TOOLS: ("2.33.38.0",),
    },
    "2.32.0": {
        "neuronx-cc": ("2.27.5334.0",),
        "nki": ("0.6.0",),
        "nrtpy": ("2.34.10",),
        "libneuronxla": ("3.0.5356.0",),
        _LITE: ("2.11.0.1.0.1284", "2.12.0.1.0.1284"),
        _DKMS: ("2.30.2.0",),
        _RUNTIME: ("2.34.10.0",),
        _COLLECTIVES: ("2.34.10.0",),
        _TOOLS: ("2.32.28.0",),
    },
    "2.31.1": {
        "torch-neuronx": ("2.9.0.2.15.32035",),
        "neuronx-cc": ("2.26.6360.0",),
        "nki": ("0.5.0",),
        "libneuronxla": ("2.2.17544.0", "3.0.3854.0"),
        _LITE: ("2.10.0.1.0.696", "2.11.0.1.0.696", "2.12.0.1.0.696"),
        _DKMS: ("2.29.0.0",),
        _RUNTIME: ("2.33.10.0",),
        _COLLECTIVES: ("2.33.10.0",),
        _TOOLS: ("2.31.15.0",),
    },
    "2.31.0": {
        "torch-neuronx": ("2.9.0.2.15.32035",),
        "neuronx-cc": ("2.26.6360.0",),
        "nki": ("0.5.0",),
        "libneuronxla": ("2.2.17544.0", "3.0.3854.0"),
        _LITE: ("2.10.0.1.0.696", "2.11.0.1.0.696", "2.12.0.1.0.696"),
        _DKMS: ("2.29.0.0",),
        _RUNTIME: ("2.33.10.0",),
        _COLLECTIVES: ("2.33.10.0",),
        _TOOLS: ("2.31.13.0",),
    },
    "2.30.0": {
        "torch-neuronx": ("2.9.0.2.14.27725",),
        "neuronx-cc": ("2.25.3371.0",),
        "nki": ("0.4.0",),
        _LITE: ("2.10.0.1.0.239",),
        _DKMS: ("2.28.0.0",),
        _RUNTIME: ("2.32.31.0",),
        _COLLECTIVES: ("2.32.28.0",),
        _TOOLS: ("2.30.10.0",),
    },
    "2.29.0": {
        "torch-neuronx": ("2.9.0.2.13.24727",),
        "neuronx-cc": ("2.24.5133.0",),
        "nki": ("0.3.0",),
        _DKMS: ("2.27.4.0", "2.26.10.0"),  # the manifest's, and the component index's
        _RUNTIME: ("2.31.24.0",),
        _COLLECTIVES: ("2.31.24.0",),
        _TOOLS: ("2.29.18.0",),
    },
    # Its minor releases were not told apart in what was read.
    "2.28": {
        "torch-neuronx": ("2.9.0.2.12.22436", "2.8.0.2.12.22436"),
        "neuronx-cc": ("2.23.6484.0",),
        "nki": ("0.2.0",),
        "libneuronxla": ("2.2.15515.0",),
        _RUNTIME: ("2.30.51.0",),
        _COLLECTIVES: ("2.30.59.0",),
        _TOOLS: ("2.28.23.0",),
    },
}

#: Runtimes from this version on (first two numbers) don't start on drivers before that one: the
#: known issue of runtime 2.32 in the notes of SDK 2.30.0.
_DRIVER_NEEDED = ((2, 32), (2, 27))
#: Drivers from this version on need runtimes from that one: the runtime's notes of driver 2.29.
_RUNTIME_NEEDED = ((2, 29), (2, 33))


def find_release(versions: Mapping[str, str]) -> str | None:
    """The release that all known ones of these versions belong to, such as "2.33.0"; several
    where they don't tell ("2.31.0 or 2.31.1"); "mixed: ..." where they come from different
    ones; ``None`` where no version is known. Local parts ("+abc") and revisions don't count."""
    known = {
        package: releases
        for package, version in versions.items()
        if (releases := _releases_of(package, version))
    }
    if not known:
        return None
    common = set.intersection(*(set(releases) for releases in known.values()))
    if common:
        return " or ".join(sorted(common))
    parts = (f"{package} of {' or '.join(found)}" for package, found in sorted(known.items()))
    return f"mixed: {', '.join(parts)}"


def find_runtime(versions: Mapping[str, str]) -> tuple[str | None, str]:
    """Version of the runtime library, and how it is known: by the package itself, or by the
    release that torch-neuronx comes from, since a wheel can bring a runtime of its own."""
    if _RUNTIME in versions:
        return _plain(versions[_RUNTIME]), _RUNTIME
    stack = versions.get("torch-neuronx")
    releases = _releases_of("torch-neuronx", stack) if stack else ()
    if not releases:
        return None, ""
    # The oldest of them: nothing is asked for that a release doesn't need.
    oldest = min(releases, key=_numbers)
    return RELEASES[oldest][_RUNTIME][0], f"SDK {oldest}, which torch-neuronx {stack} is of"


def compare_driver(driver: str, runtime: str, runtime_source: str) -> str | None:
    """Why this driver and this runtime don't work together; ``None`` where nothing that was
    read says so. The last two arguments are the answer of :func:`find_runtime`."""
    first_runtime, least_driver = _DRIVER_NEEDED
    if _numbers(runtime)[:2] >= first_runtime and _numbers(driver)[:2] < least_driver:
        return (
            f"the driver that is loaded, {driver}, is too old: runtime {runtime} "
            f"({runtime_source}) needs {_dotted(least_driver)} or newer"
        )
    first_driver, least_runtime = _RUNTIME_NEEDED
    too_old = _numbers(runtime)[:2] < least_runtime
    # A runtime that was only concluded is no reason to refuse a newer driver.
    if runtime_source == _RUNTIME and _numbers(driver)[:2] >= first_driver and too_old:
        return (
            f"the runtime, {_RUNTIME} {runtime}, is too old: driver {driver} "
            f"needs {_dotted(least_runtime)} or newer"
        )
    return None


def read_packages(root: Path) -> dict[str, str]:
    """Versions of the system packages installed on a Debian or Ubuntu system; empty elsewhere."""
    if not (root / DPKG / "status").is_file():
        return {}
    try:
        done = subprocess.run(
            [
                "dpkg-query",
                f"--admindir={root / DPKG}",
                "--show",
                "--showformat=${Package} ${db:Status-Status} ${Version}\n",
                *PACKAGES,
            ],
            capture_output=True,
            text=True,
            timeout=10,
            # It fails where any of them is missing, and still prints the others.
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    rows = (line.split() for line in done.stdout.splitlines())
    return {row[0]: row[2] for row in rows if len(row) == 3 and row[1] == "installed"}


def _releases_of(package: str, version: str) -> tuple[str, ...]:
    return tuple(
        release
        for release, packages in RELEASES.items()
        if any(_agree(_numbers(version), _numbers(one)) for one in packages.get(package, ()))
    )


def _agree(given: tuple[int, ...], known: tuple[int, ...]) -> bool:
    """Tools leave a last zero out: "2.30.51" is 2.30.51.0."""
    length = max(len(given), len(known))
    return _padded(given, length) == _padded(known, length)


def _padded(numbers: Iterable[int], length: int) -> tuple[int, ...]:
    found = tuple(numbers)
    return found + (0,) * (length - len(found))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, _plain(version).split(".")))


def _plain(version: str) -> str:
    """Without "+3b612583" or "-f1c114a9d". Raises ``ValueError`` for what is no version."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    if found is None:
        raise ValueError(f"{version!r} given, a version such as 2.26.5.0 wanted")
    return found[0]


def _dotted(numbers: Iterable[int]) -> str:
    return ".".join(map(str, numbers))
