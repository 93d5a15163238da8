"""A worker process: measures the cases of one job, one after another, and reports each.

Started as ``python -P -m trnbench.bench.worker FD`` with its job on standard input; it writes
one JSON line a message to the pipe FD, and goes on to
the next case when the parent answers with an empty line. What workloads print goes to its standard output and
error, which the parent keeps for the text of a failure.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..backends import registry
from ..backends.graphs import is_graph_break
from ..backends.protocol import Backend, Settings
from ..models.family import Family
from ..models.registry import BUILTIN_NAMES
from ..models.registry import family as family_named
from ..results.record import CaseKey, Device, Failure, NumericError, ProcessOutcome, Status
from . import findings, fitting, messages
from .findings import NOT_MADE_ANEW
from .parent import die_with_parent
from .reference import (
    SEED,
    compare_with_reference,
    compute_reference,
    keep_counted_cost,
    reference_name,
)
from .registration import load_registered
from .sampling import OverBudgetError, RecompiledError

if TYPE_CHECKING:
    from ..models.program import Program

#: The flag of a case whose numerics were checked on a smaller program of the same code, which was
#: compiled before it: what both share was compiled then.
CHECKED_SMALLER = "CHECKED_SMALLER"
#: torch's words for "this device has no kernel for that": a gap of the stack, not a fault of
#: the workload.
NO_KERNEL = re.compile(r"\"[^\"]+\" not implemented for '|Could not run 'aten::")


class EndedError(Exception):
    """The case ended early, with a status of its own."""

    def __init__(self, status: Status, failure: Failure) -> None:
        super().__init__(failure.message)
        self.status = status
        self.failure = failure


def main() -> None:
    """Read the job, measure, report. The parent notices an end without a report."""
    pipe = os.fdopen(int(sys.argv[1]), "w", buffering=1, encoding="utf-8")
    job = messages.Job.model_validate_json(sys.stdin.buffer.readline())
    die_with_parent(job.parent)
    sys.path.extend(folder for folder in job.path if folder not in sys.path)
    load_registered(tuple(job.load))
    worker = Worker(job, pipe)
    worker.start()
    for index, key in enumerate(job.cases):
        worker.measure(index, key)
        # The parent writes to the disk and the terminal before the next case is timed.
        if not sys.stdin.buffer.readline():
            break
    pipe.close()


class Worker:
    """The state of one worker process: its job, its pipe, its backend."""

    def __init__(self, job: messages.Job, pipe: IO[str]) -> None:
        self.job = job
        self.pipe = pipe
        self.backend: Backend = registry.create("cpu" if job.role == "reference" else job.backend)

    def start(self) -> None:
        """Claim the device and say what it is."""
        settings = Settings(**self.job.settings.model_dump())
        self.backend.start(settings)
        identity = self.backend.identity()
        device = Device(
            **{name: getattr(identity, name) for name in Device.model_fields if name != "facts"},
            facts=dict(identity.facts),
        )
        _settle()
        self._send(messages.Started(device=device))

    def measure(self, index: int, key: CaseKey) -> None:
        """Measure (or make the reference of) one case; whatever happens becomes an outcome."""

        def announce(phase: str) -> None:
            self._send(messages.Phase(index=index, phase=phase))

        begin = time.perf_counter()
        found: dict[str, Any] = {}
        try:
            if self.job.role == "reference":
                announce("reference")
                self._make_reference(key)
            else:
                self._measure_case(key, announce, found)
            status, failure = found.pop("status", (Status.OK, None))
        except EndedError as ended:
            found.pop("status", None)
            status, failure = ended.status, ended.failure
        outcome = ProcessOutcome(
            process=self.job.process,
            position=self.job.first_position + index,
            status=status,
            failure=failure,
            duration_s=time.perf_counter() - begin,
            **found,
        )
        if self.job.economics and outcome.compile_ns is not None:
            self._send(messages.Measured(index=index, outcome=outcome))
            announce("made anew")
            outcome = self._with_program_made_anew(key, outcome)
        self._send(messages.Outcome(index=index, outcome=outcome))
        _settle()

    def _make_reference(self, key: CaseKey) -> None:
        family = family_named(key.workload)
        with self._typed(Status.BUILD_ERROR, "the memory model"):
            key = fitting.checked_key(family, key)
            refused = fitting.refuse_reference(family, key, self.job.memory_bytes)
        if refused is not None:
            raise EndedError(Status.SKIPPED, refused)
        path = Path(self.job.references) / reference_name(key)
        if path.exists():
            return
        program = self._build(family, key)
        with self._typed(Status.RUNTIME_ERROR, "the float64 reference"):
            compute_reference(program, path)
        if family.cost is None:
            keep_counted_cost(program, family, path)

    def _measure_case(
        self, key: CaseKey, announce: Callable[[str], None], found: dict[str, Any]
    ) -> None:
        """The case from building to its samples; fills ``found`` as it goes, so that what was
        learnt before a failure is kept."""
        backend = self.backend
        refusal = backend.refusal(key.dtype, key.mode)
        if refusal is not None:
            raise EndedError(Status.UNSUPPORTED, Failure(message=refusal.reason, mend=refusal.mend))
        family = family_named(key.workload)
        announce("build")
        self._require_memory(family, key)
        found["executed_dtype"] = backend.executed_dtype(key.dtype)
        checked = fitting.checked_key(family, key)
        if checked != key and self.job.role != "compile":
            announce("numerics")
            found["numeric"] = self._check_smaller(family, key, checked)
            _require_agreement(found["numeric"])
            announce("build")
        finder = findings.Finder(backend, key.mode, found)
        program, call, output = self._called_first(family, key, finder, announce)
        if self.job.role == "compile":
            with self._typed(_failing(key), "the calls after the first"):
                self._compile_rest(call)
            return
        announce("numerics")
        if checked == key:
            found["numeric"] = self._check(program, output, family, key)
        elif not _is_finite(program.checked(output)):
            note = f"NaN or infinity in the whole program; right with {found['numeric'].note}"
            found["numeric"] = found["numeric"].model_copy(update={"error": None, "note": note})
        _require_agreement(found["numeric"])
        del output
        if self.job.role == "check":
            if found["fallbacks"]:
                raise EndedError(*findings.fell_back(found["fallbacks"]))
            with self._typed(Status.RUNTIME_ERROR, "the second call"):
                finder.call_again(call)
            return
        with self._typed(Status.RUNTIME_ERROR, "timed calls"):
            finder.sample(call, self.job.budget_s, announce, self._seed(key), program.parts())
        if checked != key:
            found["flags"] = [*found["flags"], CHECKED_SMALLER]

    def _called_first(
        self,
        family: Family,
        key: CaseKey,
        finder: findings.Finder,
        announce: Callable[[str], None],
    ) -> tuple[Program, Callable[[], Any], Any]:
        """The placed program, its call and the output of the first one. Code of a user's that
        isn't one graph is made anew, and compiled as several."""
        program = call = refusal = None
        try:
            program = self._placed(family, key)
            announce("first call")
            call = program.bound_call()
            with self._typed(_failing(key), "first call"):
                return program, call, finder.call_first(call)
        except EndedError as ended:
            if key.workload in BUILTIN_NAMES or not is_graph_break(ended.__cause__):
                raise
            refusal = str(ended.__cause__).strip().partition("\n")[0]
        del program, call
        program = self._placed(family, key, fullgraph=False)
        call = program.bound_call()
        with self._typed(_failing(key), "first call"):
            output = finder.call_first(call)
        if finder.compiled_nothing():
            # Dynamo skips a whole function for what it can't follow, and says nothing.
            failure = Failure(
                message=f"torch.compile compiled nothing of it, and ran it as it is: {refusal}",
                mend="mend what it refuses, or measure in mode eager",
                kind="graph-break",
            )
            raise EndedError(Status.COMPILE_ERROR, failure)
        finder.found["graph_breaks"] = max(1, finder.found["graph_breaks"])
        return program, call, output

    def _require_memory(self, family: Family, key: CaseKey) -> None:
        """End a case early that can't fit by its memory model: a machine that swaps for minutes
        tells nobody anything."""
        identity = self.backend.identity()
        with self._typed(Status.BUILD_ERROR, "the memory model"):
            refused = fitting.refuse_on_device(
                family,
                key,
                on_host=self.backend.name == "cpu",
                device_bytes=identity.memory_bytes,
                limit_bytes=self.job.memory_bytes,
            )
        if refused is not None:
            raise EndedError(Status.SKIPPED, refused)

    def _check_smaller(self, family: Family, key: CaseKey, checked: CaseKey) -> NumericError:
        """The numerics of a smaller program of the same code, which is gone afterwards."""
        program = self._placed(family, checked)
        with self._typed(_failing(key), "first call of the smaller program"):
            output = program()
            self.backend.synchronize()
        numeric = self._check(program, output, family, checked)
        smaller = fitting.describe_smaller(key, checked)
        note = f"{smaller}; {numeric.note}" if numeric.note else smaller
        return numeric.model_copy(update={"note": note})

    def _compile_rest(self, call: Callable[[], Any]) -> None:
        """Both regimes twice: each may be a program of its own, and so is the second step of a
        training, whose optimizer has a state by then."""
        for _ in range(2):
            self.backend.time_sustained(call, 1)
            self.backend.time_isolated(call, 1)

    def _placed(self, family: Family, key: CaseKey, *, fullgraph: bool = True) -> Program:
        """The case's program on the device, compiled where its mode says so."""
        program = self._build(family, key)
        self.backend.use_mode(key.mode)
        with self._typed(_failing(key), "placing"):
            program = program.moved(self.backend.place)
            if key.mode not in findings.UNCOMPILED:
                program = program.compiled_with(self.backend.compiler(fullgraph=fullgraph))
        return program

    def _with_program_made_anew(self, key: CaseKey, outcome: ProcessOutcome) -> ProcessOutcome:
        """The outcome with the first call of the same program, made again in this process: what
        its caches in memory and on disk save."""
        gc.collect()
        again: dict[str, Any] = {}
        try:
            family = family_named(key.workload)
            program = self._placed(family, key, fullgraph=not outcome.graph_breaks)
            with self._typed(_failing(key), "first call of the program made anew"):
                findings.Finder(self.backend, key.mode, again).call_first(program.bound_call())
        except EndedError:
            # The case itself is measured; a second copy of it may not fit the device.
            return outcome.model_copy(update={"flags": [*outcome.flags, NOT_MADE_ANEW]})
        return outcome.model_copy(update={"in_process_ns": again["first_call_ns"]})

    def _build(self, family: Family, key: CaseKey) -> Program:
        module, _, function = family.program.partition(":")
        with self._typed(Status.BUILD_ERROR, "building the workload"):
            import torch

            make: Callable[..., Program] = getattr(import_module(module), function)
            # A user's module draws its weights from torch's own generator: the reference and
            # every worker must draw the same.
            torch.manual_seed(SEED)
            return make(key.params, key.dtype, SEED)

    def _check(self, program: Program, output: Any, family: Family, key: CaseKey) -> NumericError:
        path = Path(self.job.references) / reference_name(key)
        with self._typed(Status.RUNTIME_ERROR, "the numeric check"):
            numeric = compare_with_reference(program, output, family, key.dtype, path)
            moved = program.moved_parameters()
        if moved is False:
            return numeric.model_copy(
                update={"error": None, "note": "no parameter moved in a training step"}
            )
        return numeric

    def _seed(self, key: CaseKey) -> int:
        """Another order of samples in every process, and the same one when it is run again."""
        return zlib.crc32(f"{self.job.process} {key.model_dump_json()}".encode())

    @contextlib.contextmanager
    def _typed(self, status: Status, doing: str) -> Any:
        """Turn what a workload or its stack raises into a typed end of the case."""
        try:
            yield
        except (OverBudgetError, RecompiledError) as error:
            raise EndedError(*findings.ended_by(error)) from error
        except Exception as error:
            failure = _failure(error, doing)
            # A compiler's own words may stand on a later line than torch's.
            known = findings.explained(self.backend, f"{failure.message}\n{error}")
            ended = known or (self._status_of(error, status), failure)
            raise EndedError(*ended) from error

    def _status_of(self, error: Exception, otherwise: Status) -> Status:
        if self.backend.is_out_of_memory(error):
            return Status.OUT_OF_MEMORY
        # torch raises both classes for it; a workload's own ValueError is its own fault, and the
        # float64 reference is computed on a CPU that has every kernel.
        stack = isinstance(error, NotImplementedError) or type(error) is RuntimeError
        if stack and self.job.role != "reference" and NO_KERNEL.search(str(error)):
            return Status.UNSUPPORTED
        return otherwise

    def _send(
        self,
        message: messages.Started | messages.Phase | messages.Measured | messages.Outcome,
    ) -> None:
        self.pipe.write(messages.Line(message=message).model_dump_json() + "\n")
        self.pipe.flush()


def _failing(key: CaseKey) -> Status:
    """What an error in placing or in the first call means in this mode."""
    return Status.RUNTIME_ERROR if key.mode in findings.UNCOMPILED else Status.COMPILE_ERROR


def _is_finite(tensors: tuple[Any, ...]) -> bool:
    return all(bool(t.isfinite().all()) for t in tensors if t.is_floating_point())


def _settle() -> None:
    """Free what the last case left, and take what remains (modules, caches of compilers) out of
    later collections: walking it after every case would cost more than many a case."""
    gc.collect()
    gc.freeze()


def _failure(error: Exception, doing: str) -> Failure:
    """The exception in one line, and where in the user's code it was raised."""
    first, *_ = str(error).strip().splitlines() or [""]
    frames = traceback.extract_tb(error.__traceback__)
    # The last frame outside torch is the one that a person can mend.
    ours = [f for f in frames if "/torch/" not in f.filename]
    where = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    kind = type(error).__name__
    return Failure(message=f"{doing}: {kind}: {first[:500]}{where}", kind=kind)


def _require_agreement(numeric: NumericError) -> None:
    """A wrong result has no speed worth measuring."""
    if numeric.error is not None and numeric.error <= numeric.bound:
        return
    size = "unbounded" if numeric.error is None else f"{numeric.error:.3g}"
    message = f"error {size}, relative to the largest reference value; bound {numeric.bound:.3g}"
    raise EndedError(
        Status.NUMERIC_MISMATCH,
        Failure(
            message=f"{message}; {numeric.note}" if numeric.note else message,
            mend="check the workload's output, or state a wider bound with its reason",
            kind="numeric",
        ),
    )


if __name__ == "__main__":
    main()
