"""A run under pytest: what is collected, when it is measured, what is printed at the end."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..backends.registry import UnknownBackendError
from ..results.lines import StoreError
from ..results.record import Record
from ..results.store import case_id, find_run
from .case import Case
from .errors import UsageError
from .fixture_cases import FixtureCase, is_fixture_test
from .options import RunOptions
from .plugin import NODE_PREFIX
from .progress import count_of, make_listener
from .pytest_items import (
    COLLECTOR_NAME,
    RECORD,
    CaseItem,
    Workloads,
    by_case,
    case_markers,
    pick,
    report_outcome,
)
from .pytest_options import run_options
from .registration import load_registered, require_importable
from .replay import is_table_wanted, replay

if TYPE_CHECKING:
    from .run import RunResult


class BenchmarkRun:
    """The plugin of one ``pytest --benchmark``."""

    def __init__(
        self, config: pytest.Config, options: RunOptions, asked: Sequence[str], builtin: bool
    ) -> None:
        self.config = config
        self.options = options
        self.asked = asked
        self.builtin = builtin
        self.result: RunResult | None = None
        self.interrupted = False
        self.replayed: set[str] = set()

    @classmethod
    def from_config(cls, config: pytest.Config) -> BenchmarkRun:
        """Check the options, and take the node ids of cases out of pytest's own arguments,
        which it would look for among the files."""
        _refuse_distribution(config)
        options = run_options(config)
        asked = [a.removeprefix(NODE_PREFIX) for a in config.args if a.startswith(NODE_PREFIX)]
        builtin = config.args_source is not pytest.Config.ArgsSource.ARGS
        config.args[:] = [a for a in config.args if not a.startswith(NODE_PREFIX)]
        if config.getoption("benchmark_only", False):
            # pytest-benchmark would skip what doesn't use its own fixture; "only benchmarks" is
            # what --benchmark means already.
            config.option.benchmark_only = False
        return cls(config, options, asked, builtin)

    def pytest_report_header(self) -> str:
        options = self.options
        backends = ",".join(options.backends) or "all available"
        return (
            f"trnbench: preset {options.preset}, backends {backends}, "
            f"{count_of(options.processes, 'process')}, {options.budget_s:g} s a case in each"
        )

    # ------------------------------------------------------------------ collecting

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Hang the cases beside the files that the session collects."""
        report = yield
        if isinstance(collector, pytest.Session):
            try:
                load_registered(self.options.load)
                if self.builtin or self.asked:
                    report.result.append(self._workloads(collector))
            except UsageError as error:
                raise pytest.UsageError(str(error)) from error
        return report

    def _workloads(self, session: pytest.Session) -> Workloads:
        from .selection import select

        cases = select(self.options)
        if self.asked:
            everything: Sequence[Case] = ()
            if any("[" in name for name in self.asked):
                everything = select(replace(self.options, preset="full"))
            cases = pick(cases, everything, self.asked)
        workloads: Workloads = Workloads.from_parent(
            session,
            name=COLLECTOR_NAME,
            nodeid=COLLECTOR_NAME,
            path=self.config.rootpath,
            cases=cases,
            markers=self._register_markers(cases),
        )
        return workloads

    def _register_markers(self, cases: Sequence[Case]) -> list[str]:
        """Make ``-m matmul`` and ``-m "bf16 and not compiled"`` work under strict markers; a
        name that another plugin's marker has is left to it."""
        taken = {line.partition(":")[0].partition("(")[0] for line in self.config.getini("markers")}
        names = dict.fromkeys(name for case in cases for name in case_markers(case))
        free = [name for name in names if name.isidentifier() and name not in taken]
        for name in free:
            self.config.addinivalue_line("markers", f"{name}: trnbench's cases of that name")
        return free

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep benchmarks, and deselect the rest unless it was asked for."""
        kept, others = [], []
        for item in items:
            if is_fixture_test(item):
                item.add_marker(pytest.mark.trnbench)
                # The parent runs neither the test nor its fixtures: its children do.
                item.fixturenames = []  # type: ignore[attr-defined]
            elif not isinstance(item, CaseItem):
                others.append(item)
                continue
            kept.append(item)
        if others and not self.config.getoption("bench_with_tests"):
            items[:] = kept
            self.config.hook.pytest_deselected(items=others)

    # ------------------------------------------------------------------ measuring

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Measure the whole selection before its items report."""
        option = self.config.option
        if option.collectonly or option.setuponly or option.setupplan:
            return
        if session.testsfailed and not option.continue_on_collection_errors:
            return
        items = [
            item
            for item in session.items
            if _is_benchmark(item) and item.get_closest_marker("skip") is None
        ]
        if not items:
            return
        try:
            self._measure(items)
        except (UsageError, StoreError, UnknownBackendError) as error:
            raise pytest.UsageError(str(error)) from error
        except KeyboardInterrupt:
            self.interrupted = True
            raise

    def _measure(self, items: Sequence[pytest.Item]) -> None:
        from .run import measure, require_environment

        cases = [item.case for item in items if isinstance(item, CaseItem)]
        require_importable(case.workload for case in cases)
        if self.config.pluginmanager.has_plugin("terminalreporter"):
            verbosity = self.config.get_verbosity()
            print(flush=True)
        else:
            verbosity = -1
        with (
            tempfile.TemporaryDirectory(prefix="trnbench-cache-") as folder,
            make_listener(sys.stdout, verbosity=verbosity) as listener,
        ):
            cache = folder if self.options.cache == "fresh" else None
            fixture_cases = [
                FixtureCase(item, self.options, cache)
                for item in items
                if not isinstance(item, CaseItem)
            ]
            keys = [*(case.key() for case in cases), *(case.key for case in fixture_cases)]
            require_environment(keys, self.options.settings())
            # What a fixture test measures is known only when it has been called once.
            for case in fixture_cases:
                listener.note(f"first process of {case.item.nodeid}")
                case.describe()
            self.result = measure(
                cases,
                self.options,
                listener,
                fixture_cases,
            )
        records = by_case(self.result.records)
        measured = {case.item: case.key for case in fixture_cases}
        for item in items:
            key = item.key if isinstance(item, CaseItem) else measured[item]
            if case_id(key) in records:
                item.stash[RECORD] = records[case_id(key)]
        for case in fixture_cases:
            for title, text in case.outputs:
                case.item.add_report_section("call", title, text)

    # ------------------------------------------------------------------ reporting

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """A fixture test was measured by its children; here its record is reported."""
        if not is_fixture_test(pyfuncitem):
            return None
        report_outcome(pyfuncitem)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call" and _is_benchmark(item):
            if report.skipped and not hasattr(report, "wasxfail"):
                assert call.excinfo is not None  # noqa: S101 - a skip is an exception
                # No line: pytest's types want one, and its summary can do without.
                place: Any = (report.location[0], None, f"Skipped: {call.excinfo.value}")
                report.longrepr = place
            record = item.stash.get(RECORD, None)
            if record is not None:
                report.duration = sum(outcome.duration_s for outcome in record.processes)
                if report.passed and replay(item, record):
                    self.replayed.add(item.nodeid)
        return report

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.interrupted:
            terminalreporter.section("trnbench: interrupted", sep="-")
            terminalreporter.write_line(_advice_after_interrupt(self.options))
        if self.result is None:
            return
        path, here = self.result.path, self.config.invocation_params.dir
        path = path.relative_to(here) if path.is_relative_to(here) else path
        terminalreporter.ensure_newline()
        terminalreporter.section("trnbench", sep="=")
        terminalreporter.write(_drawn(self.result.records, path, self.config.get_terminal_writer()))

    # ------------------------------------------------------------------ pytest-benchmark

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_machine_info(self, machine_info: dict[str, Any]) -> None:
        """No host name in what may be published."""
        machine_info.pop("node", None)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_benchmark_group_stats(self, benchmarks: list[dict[str, Any]]) -> None:
        """Leave our cases out of its table, which ours replaces, unless it was asked for."""
        if not is_table_wanted(self.config.invocation_params.args):
            benchmarks[:] = [b for b in benchmarks if b["fullname"] not in self.replayed]


def _is_benchmark(item: pytest.Item) -> bool:
    return isinstance(item, CaseItem) or is_fixture_test(item)


def _refuse_distribution(config: pytest.Config) -> None:
    workers = config.getoption("numprocesses", None)
    if config.getoption("dist", "no") != "no" or workers:
        given = f"-n {workers}" if workers else f"--dist {config.getoption('dist')}"
        raise pytest.UsageError(
            f"benchmarks can't share the machine with one another, and pytest-xdist is asked to "
            f"distribute tests ({given}); add -n0, or leave --benchmark out"
        )


def _advice_after_interrupt(options: RunOptions) -> str:
    try:
        run = find_run(options.out, "").run
    except StoreError as error:
        return f"nothing was measured yet: {error}"
    return f"what was measured is kept; go on with the same selection and --bench-resume {run}"


def _drawn(records: Sequence[Record], path: Path, writer: Any) -> str:
    """The run's table and summary, as wide and as coloured as pytest's own output."""
    from rich.console import Console

    from ..results.table import print_run

    text = StringIO()
    console = Console(
        file=text,
        width=writer.fullwidth,
        force_terminal=writer.hasmarkup,
        no_color=not writer.hasmarkup,
    )
    print_run(records, path, console)
    return text.getvalue()
