"""The pytest plugin. It is loaded in every pytest run of the environment that it is installed
in, so its import costs next to nothing, and without ``--benchmark`` it measures nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .option_group import add_options

if TYPE_CHECKING:
    from .fixture import Bench

#: Set by a run for the child processes that measure its fixture tests: the file of the job.
CHILD_VARIABLE = "TRNBENCH_FIXTURE_JOB"
#: How a node id of a built-in or registered case begins.
NODE_PREFIX = "trnbench::"


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "trnbench: a benchmark of trnbench: a case, or a test that uses the fixture 'bench'",
    )
    if hasattr(config, "workerinput"):
        return
    job = os.environ.pop(CHILD_VARIABLE, None)
    if job is not None:
        from .fixture_child import FixtureChild

        config.pluginmanager.register(FixtureChild.from_job(job, config), "trnbench-child")
    elif config.getoption("trnbench"):
        from .pytest_session import BenchmarkRun

        config.pluginmanager.register(BenchmarkRun.from_config(config), "trnbench-run")
    else:
        for argument in config.args:
            if argument.startswith(NODE_PREFIX):
                raise pytest.UsageError(
                    f"'{argument}' is a benchmark, and benchmarks run only when they are asked "
                    "for: add --benchmark"
                )


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Bench:
    """Measure a function or module: ``bench(fn, *inputs, cost=None, dtype=None)``.

    Without ``--benchmark`` it is called once. Its value is returned either way.
    """
    from .fixture import Bench

    return Bench(request.node.nodeid, request.config.pluginmanager.get_plugin("trnbench-child"))
