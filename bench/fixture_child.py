"""The plugin of a child process: runs one test, and measures what it hands to ``bench``."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..backends import registry
from ..backends.protocol import Backend, Settings
from ..results.record import CaseKey, CostData, Device, Failure, ProcessOutcome, Status
from . import findings
from .errors import UsageError
from .fixture_messages import FixtureAnswer, FixtureJob
from .parent import die_with_parent
from .privacy import scrub_text
from .registration import load_registered
from .sampling import OverBudgetError, RecompiledError
from .stated_cost import StatedCost, stated_cost

if TYPE_CHECKING:
    from ..models.program import Program

DEFAULT_BACKEND = "cpu"
UNKNOWN_DTYPE = "unknown"


class FixtureChild:
    """Runs the job's test alone, and keeps the answer in the job's file."""

    def __init__(self, job: FixtureJob) -> None:
        self.job = job
        self.answer = FixtureAnswer()

    @classmethod
    def from_job(cls, path: str, config: pytest.Config) -> FixtureChild:
        """Read the job, and make its test the only argument of this pytest."""
        job = FixtureJob.model_validate_json(Path(path).read_bytes())
        die_with_parent(job.parent)
        config.args[:] = [job.node]
        try:
            load_registered(job.load)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error
        return cls(job)

    # ------------------------------------------------------------------ hooks

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid == self.job.nodeid]

    def pytest_runtest_logstart(self) -> None:
        """From here on the run's limit of time holds."""
        self._announce("set-up")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.answer.failed = self.answer.failed or _first_line(report)
        elif report.skipped and isinstance(report.longrepr, tuple):
            self.answer.skipped = report.longrepr[2].removeprefix("Skipped: ")

    def pytest_sessionfinish(self) -> None:
        self.answer.finished = True
        self._write()

    # ------------------------------------------------------------------ measuring

    def measure(
        self,
        function: Callable[..., Any],
        inputs: Sequence[Any],
        cost: StatedCost | None,
        dtype: str | None,
        mode: str | None,
        backend_name: str | None,
    ) -> Any:
        """Measure ``function(*inputs)``; the value of its first call.

        What the function raises goes through, so that the test fails as it would without us.
        """
        job = self.job
        name = backend_name or next(iter(job.backends), DEFAULT_BACKEND)
        backend = registry.create(name)
        mode = mode or backend.modes[0]
        found = dtype or _dtype_of(function, inputs)
        self.answer.key = CaseKey(
            workload=job.nodeid.partition("[")[0],
            configuration=job.configuration,
            params=job.params,
            phase="forward",
            dtype=found,
            mode=mode,
            backend=name,
        )
        if cost is not None:
            stated = stated_cost(cost, source=f"stated in {job.nodeid.partition('[')[0]}")
            told = {name: scrub_text(getattr(stated, name)) for name in ("source", "convention")}
            self.answer.cost = CostData(**asdict(stated) | told)
        self._announce("first call")
        known = (*backend.modes, *backend.modes_on_request)
        if mode not in known:
            modes = ", ".join(known)
            raise UsageError(f"bench: mode '{mode}' given; backend '{name}' has: {modes}")
        begin = time.perf_counter()
        self.answer.said = (_output_bytes(), _output_bytes())
        try:
            refusal = self._refusal(backend, name, mode, found)
        except Exception as error:
            self._answer(begin, *_status_of(error, backend, Status.RUNTIME_ERROR))
            raise
        if refusal is not None:
            self._answer(begin, *refusal)
            return function(*inputs)
        return self._measure_on(backend, function, inputs, begin)

    def _refusal(
        self, backend: Backend, name: str, mode: str, dtype: str
    ) -> tuple[Status, Failure] | None:
        """Why this case isn't measured in this run, or can't be; the backend is started."""
        for kind, value, wanted in (
            ("backend", name, self.job.backends),
            ("mode", mode, self.job.modes),
            ("dtype", dtype, self.job.dtypes),
        ):
            if wanted and value not in wanted:
                reason = f"the test is for {kind} '{value}'; this run is for {', '.join(wanted)}"
                return Status.SKIPPED, Failure(message=reason, kind="selection")
        here = backend.availability()
        if not here.available:
            reason = f"backend '{name}' can't run here: {here.reason}"
            return Status.UNSUPPORTED, Failure(message=reason, mend=here.mend)
        backend.start(Settings(**self.job.settings.model_dump()))
        identity = backend.identity()
        self.answer.device = Device(
            **{name: getattr(identity, name) for name in Device.model_fields if name != "facts"},
            facts=dict(identity.facts),
        )
        refused = backend.refusal(dtype, mode) if dtype != UNKNOWN_DTYPE else None
        if refused is not None:
            return Status.UNSUPPORTED, Failure(message=refused.reason, mend=refused.mend)
        return None

    def _measure_on(
        self, backend: Backend, function: Callable[..., Any], inputs: Sequence[Any], begin: float
    ) -> Any:
        assert self.answer.key is not None  # noqa: S101 - set by measure
        mode = self.answer.key.mode
        compiled = mode not in findings.UNCOMPILED
        failing = Status.COMPILE_ERROR if compiled else Status.RUNTIME_ERROR
        found: dict[str, Any] = {"executed_dtype": backend.executed_dtype(self.answer.key.dtype)}
        try:
            backend.use_mode(mode)
            call = _placed_call(backend, function, inputs, compiled)
            finder = findings.Finder(backend, mode, found)
            value = finder.call_first(call)
            self._learn_dtype(value)
            failing = Status.RUNTIME_ERROR
            seed = zlib.crc32(f"{self.job.process} {self.job.nodeid}".encode())
            finder.sample(call, self.job.budget_s, self._announce, seed)
        except (OverBudgetError, RecompiledError) as error:
            self.answer.returned = True
            self._answer(begin, *findings.ended_by(error), **found)
            return value
        except Exception as error:
            found.pop("status", None)
            self._answer(begin, *_status_of(error, backend, failing), **found)
            raise
        self.answer.returned = True
        self._answer(begin, *found.pop("status"), **found)
        return value

    def _learn_dtype(self, value: Any) -> None:
        """A function without inputs shows what it computes in by what it returns."""
        key = self.answer.key
        if key is not None and key.dtype == UNKNOWN_DTYPE:
            values = value if isinstance(value, tuple | list) else [value]
            self.answer.key = key.model_copy(update={"dtype": _dtype_of(None, values)})

    # ------------------------------------------------------------------ answering

    def _answer(self, begin: float, status: Status, failure: Failure | None, **found: Any) -> None:
        self.answer.outcome = ProcessOutcome(
            process=self.job.process,
            position=self.job.position,
            status=status,
            failure=failure,
            duration_s=time.perf_counter() - begin,
            **found,
        )
        self.answer.said = (self.answer.said[0], _output_bytes())
        self._announce("after measuring")

    def _announce(self, phase: str) -> None:
        self.answer.phase = phase
        self._write()

    def _write(self) -> None:
        """Whole or not at all: the parent may read while this process is being ended."""
        path = Path(self.job.answer)
        partial = path.with_suffix(".partial")
        partial.write_text(self.answer.model_dump_json(), encoding="utf-8")
        partial.replace(path)


def _output_bytes() -> int:
    """Bytes that this process and those that it started have printed so far: the parent hands it
    one file for both streams, and nothing is captured."""
    return os.fstat(2).st_size


def _status_of(error: Exception, backend: Backend, failing: Status) -> tuple[Status, Failure]:
    message = f"{type(error).__name__}: {str(error).strip()[:500]}"
    # A compiler's own words may stand on a later line than torch's, however far down.
    known = findings.explained(backend, f"{message}\n{error}")
    if known is not None:
        return known
    status = Status.OUT_OF_MEMORY if backend.is_out_of_memory(error) else failing
    return status, Failure(message=message, kind=type(error).__name__)


def _placed_call(
    backend: Backend, function: Callable[..., Any], inputs: Sequence[Any], compiled: bool
) -> Callable[[], Any]:
    """The call as the timed loop runs it. A function without inputs stays where it is."""
    import torch

    from ..models.program import Program

    def place(value: Any) -> Any:
        return backend.place(value) if isinstance(value, torch.Tensor | torch.nn.Module) else value

    if not inputs:
        return backend.compiler()(function) if compiled else function
    program: Program = Program(function, tuple(inputs)).moved(place)
    if compiled:
        program = program.compiled_with(backend.compiler())
    return program.bound_call()


def _dtype_of(function: Callable[..., Any] | None, inputs: Sequence[Any]) -> str:
    """Our name of the first floating point dtype among inputs and parameters."""
    import torch

    from ..models.program import TORCH_DTYPES

    names = {dtype: name for name, dtype in TORCH_DTYPES.items()}
    values = [value for value in inputs if isinstance(value, torch.Tensor)]
    if isinstance(function, torch.nn.Module):
        values += list(function.parameters())
    floating = [value for value in values if value.is_floating_point()]
    for value in floating or values:
        return names.get(value.dtype, str(value.dtype).removeprefix("torch."))
    return UNKNOWN_DTYPE


def _first_line(report: pytest.TestReport) -> str:
    """What was raised, and where, without a path that only this machine has."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    line = next((line for line in text.splitlines() if line.strip()), "no message")
    if crash is not None:
        line += f" ({Path(crash.path).name}:{crash.lineno})"
    return line if report.when == "call" else f"{report.when}: {line}"
