"""The options that the plugin adds to pytest. Every pytest run reads this module, so it holds
nothing else; ``pytest_options`` checks what was given.
"""

from __future__ import annotations

import pytest

from .defaults import (
    DEFAULT_BUDGET_S,
    DEFAULT_OUT,
    DEFAULT_PRESET,
    DEFAULT_PROCESSES,
    DEFAULT_TIMEOUT_S,
)

EXIT_CODES = (
    "Exit codes of a run are pytest's: 0 every case is OK, UNSUPPORTED or SKIPPED; 1 a case "
    "ended otherwise, or a test failed; 2 interrupted; 3 internal error; 4 bad usage; "
    "5 nothing was selected."
)


def add_options(parser: pytest.Parser) -> None:
    """Add the group ``trnbench``. Values are checked in ``run_options``, and only there."""
    group = parser.getgroup("trnbench", "trnbench: PyTorch benchmarks held against the silicon")
    group.addoption(
        "--benchmark",
        action="store_true",
        dest="trnbench",
        help="Run benchmarks, and only them: the built-in cases where no path is given, and "
        f"tests that use the fixture 'bench'. {EXIT_CODES}",
    )
    group.addoption(
        "--bench-backend",
        action="append",
        default=[],
        metavar="NAMES",
        help="Backends to measure on, separated by commas or repeated. Default: every backend "
        "that is available here; see 'trnbench doctor'.",
    )
    group.addoption(
        "--bench-preset",
        default=DEFAULT_PRESET,
        metavar="PRESET",
        help="How many of the cases: quick, standard or full. Default: %(default)s.",
    )
    group.addoption(
        "--bench-dtype",
        action="append",
        default=[],
        metavar="DTYPES",
        help="Keep only these dtypes: fp32, bf16, fp16, int8. Default: all of the preset.",
    )
    group.addoption(
        "--bench-mode",
        action="append",
        default=[],
        metavar="MODES",
        help="Keep only these modes: eager, compiled, lazy. Default: all of the preset.",
    )
    group.addoption(
        "--bench-processes",
        default=str(DEFAULT_PROCESSES),
        metavar="COUNT",
        help="Fresh processes, each of which measures the whole selection; with one there is no "
        "interval. Default: %(default)s.",
    )
    group.addoption(
        "--bench-budget",
        default=f"{DEFAULT_BUDGET_S:g}",
        metavar="SECONDS",
        help="Seconds of measuring for one case in one process. Default: %(default)s.",
    )
    group.addoption(
        "--bench-label",
        default="",
        metavar="TEXT",
        help="A label that is stored in each record of the run.",
    )
    group.addoption(
        "--bench-out",
        default=str(DEFAULT_OUT),
        metavar="DIR",
        help="Folder of the run's files. Default: %(default)s under the working folder.",
    )
    group.addoption(
        "--bench-resume",
        nargs="?",
        const="",
        default=None,
        metavar="RUN",
        help="Go on with an unfinished run; without RUN, with the newest one.",
    )
    group.addoption(
        "--bench-with-tests",
        action="store_true",
        help="With --benchmark: run the other tests too, after the measuring.",
    )
    group.addoption(
        "--bench-threads",
        default=None,
        metavar="COUNT",
        help="CPU threads of torch's operators. Default: the physical cores, one processor left free.",
    )
    group.addoption(
        "--bench-timeout",
        default=f"{DEFAULT_TIMEOUT_S:g}",
        metavar="SECONDS",
        help="Wall limit of one case in one process, everything included. Default: %(default)s.",
    )
    group.addoption(
        "--bench-memory-limit",
        default=None,
        metavar="GIB",
        help="Resident size at which a measuring process is ended. Default: 60 %% of the memory "
        "that is available when the run begins.",
    )
    group.addoption(
        "--bench-tf32",
        action="store_true",
        help="Let fp32 matmuls use TF32 on devices that have it.",
    )
    group.addoption(
        "--bench-cores",
        default=None,
        metavar="CORES",
        help="NeuronCores that a worker may claim, as 0 or 0-3. Default: core 0.",
    )
    group.addoption(
        "--bench-lnc",
        default=None,
        metavar="1|2",
        help="Physical NeuronCores in a logical one. Default: the chip's own.",
    )
    group.addoption(
        "--bench-cache",
        default="kept",
        metavar="kept|fresh",
        help="Compile caches: as they are, or the run's own, empty at first. Default: %(default)s.",
    )
    group.addoption(
        "--bench-chip-file",
        action="append",
        default=[],
        metavar="FILE",
        help="A chip of your own, to hold its cases against: a TOML file of the catalog's form.",
    )
    group.addoption(
        "--bench-load",
        action="append",
        default=[],
        metavar="MODULES",
        help="Modules to import that register workloads or backends.",
    )
