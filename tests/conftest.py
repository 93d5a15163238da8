"""What every test may rely on, and which backend the contract is held against."""

from __future__ import annotations

import functools
import os

import pytest

from trnbench.backends import registry
from trnbench.backends.protocol import Settings

pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--contract-backend",
        metavar="NAME",
        help="hold the contract (tests/contract) against this backend alone; it must be available",
    )


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """``pytest --benchmark`` without a path is for the built-in cases: these tests measure nothing,
    and want packages that a measurement doesn't."""
    asked = config.args_source is pytest.Config.ArgsSource.ARGS
    return True if config.getoption("--benchmark", False) and not asked else None


def pytest_configure(config: pytest.Config) -> None:
    """Prepare this process for the backend named, before a test module imports torch. What isn't
    here is an error: nothing is skipped."""
    name = config.getoption("--contract-backend")
    if name is None:
        return
    try:
        backend = registry.create(name)
        found = backend.availability()
        if found.available:
            environment = dict(os.environ)
            backend.prepare_environment(environment, Settings())
            os.environ.update(environment)
            return
    except (registry.UnknownBackendError, ValueError) as error:
        raise pytest.UsageError(f"--contract-backend: {error}") from error
    raise pytest.UsageError(f"--contract-backend {name}: {found.reason}; {found.mend}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests marked slow out, unless ``-m`` says something or one is named on the line."""
    if config.option.markexpr or any("::" in argument for argument in config.args):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session", autouse=True)
def contract_device(pytestconfig: pytest.Config) -> None:
    """The device of the backend named answers first, as in a worker: torch sets up its threads
    for backward passes at the first one, for the devices that there are by then."""
    name = pytestconfig.getoption("--contract-backend")
    if name is not None:
        registry.create(name).start(Settings())


@functools.cache
def available_backends() -> tuple[str, ...]:
    found = registry.availabilities()
    return tuple(name for name in found if found[name].available)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``contract_backend``: the name of each backend that the contract is held against."""
    if "contract_backend" in metafunc.fixturenames:
        name = metafunc.config.getoption("--contract-backend")
        metafunc.parametrize("contract_backend", (name,) if name else available_backends())


@pytest.fixture
def start_backend(monkeypatch):
    """A backend by name, with its environment prepared as a worker's is, and started."""

    def start(name):
        backend = registry.create(name)
        environment = dict(os.environ)
        backend.prepare_environment(environment, Settings())
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        backend.start(Settings())
        return backend

    return start
