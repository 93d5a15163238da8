"""One record: the outcome of one case in one run. Plain data, immutable, versioned.

Schema history, newest first:

1. First schema.

Every time is in the unit that its name ends in; ``_ns`` values are integers as stamped, and
``_s`` values are per call. Nothing here identifies a person or a machine: see ``environment``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

SCHEMA_VERSION = 1

Fact = str | int | float | bool | None


class Status(StrEnum):
    """How a case ended. Everything but OK is a typed reason, stored and shown like a result."""

    OK = "OK"
    UNSUPPORTED = "UNSUPPORTED"
    SKIPPED = "SKIPPED"
    NOT_STEADY = "NOT_STEADY"
    BUSY_DEVICE = "BUSY_DEVICE"
    FALLBACK_TO_CPU = "FALLBACK_TO_CPU"
    RECOMPILED = "RECOMPILED"
    ABOVE_ROOF = "ABOVE_ROOF"
    NUMERIC_MISMATCH = "NUMERIC_MISMATCH"
    BUILD_ERROR = "BUILD_ERROR"
    COMPILE_ERROR = "COMPILE_ERROR"
    RUNTIME_ERROR = "RUNTIME_ERROR"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    TIMEOUT = "TIMEOUT"
    CRASHED = "CRASHED"


#: The worst wins when the processes of one case end differently: later is worse.
SEVERITY: tuple[Status, ...] = tuple(Status)

#: A case that ends so is no failure of a run.
ACCEPTED: frozenset[Status] = frozenset({Status.OK, Status.UNSUPPORTED, Status.SKIPPED})

#: The device ran it and its output was right, whatever its timing was worth.
WORKING = frozenset({Status.OK, Status.NOT_STEADY, Status.RECOMPILED, Status.ABOVE_ROOF})

#: Nothing was tried, which says nothing of the stack.
UNTRIED = frozenset({Status.SKIPPED, Status.BUSY_DEVICE})


def is_working(status: Status) -> bool | None:
    """Whether the stack did what was asked of it; None where the status says nothing of it."""
    return None if status in UNTRIED else status in WORKING


def _read_status(value: object) -> object:
    if isinstance(value, str) and value not in SEVERITY:
        raise ValueError(f"wanted one of {', '.join(SEVERITY)}")
    return Status(value) if isinstance(value, str) else value


#: Readers are strict: "1" is no number there, and 1.0 no count. JSON has no statuses and no pairs, so
#: these are made of its texts and lists.
StoredStatus = Annotated[Status, BeforeValidator(_read_status)]
StoredPair = Annotated[
    tuple[float, float], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CaseKey(_Data):
    """The typed columns on which runs are aligned."""

    workload: str
    """Name of the family: "matmul"."""
    configuration: str
    """Name of the set of parameters within the family: "square-512"."""
    params: dict[str, int | float | bool | str]
    """The parameters themselves; runs are aligned on these, not on names."""
    phase: str
    """"forward", "prefill", "decode" or "training"."""
    dtype: str
    """The dtype that was asked for."""
    mode: str
    """"eager", "compiled" or "lazy"."""
    backend: str
    devices: Annotated[int, Field(ge=1)] = 1
    """Torch devices that the case runs on."""


class Failure(_Data):
    """What went wrong, in words, and what to do about it."""

    message: str
    """What was given and what was wanted."""
    mend: str = ""
    """What to do."""
    kind: str = ""
    """Exception class, signal name, or the limit that was passed."""


class Samples(_Data):
    """Raw timed samples of one process in one regime. Lists are parallel, one entry a sample."""

    calls: Annotated[int, Field(ge=1)]
    """Calls in each sample; the stamps are totals over them."""
    wall_ns: list[int]
    """Wall time."""
    cpu_ns: list[int]
    """CPU time of the process."""
    device_ns: list[float] | None = None
    """The device's own clock; None where it has none."""
    involuntary_switches: list[int]
    """Times that the system took the CPU away."""


class QueueFit(_Data):
    """Wall time over the number of calls queued before one synchronisation."""

    calls: list[int]
    """Queue lengths."""
    wall_ns: list[int]
    """Wall time of each, one synchronisation at the end."""
    fixed_cost_ns: float
    """Intercept: dispatch, launch gap and synchronisation, paid once."""
    slope_ns: float
    """Cost of one more call."""


class NumericError(_Data):
    """Largest difference from the float64 reference, relative to the largest reference value."""

    error: float | None
    """None where the output holds NaN or infinity which the reference does not."""
    bound: float
    """The largest error at which the output still counts as right."""
    reference: str
    """What the output was compared with."""
    note: str = ""


class Sensor(_Data):
    """What one sensor said while a case was measured; None with `reason` where it said nothing."""

    unit: str
    """SI, or "percent of the maximum" where a vendor gives no more."""
    mean: float | None = None
    least: float | None = None
    most: float | None = None
    samples: int = 0
    """Readings that the figures are of."""
    reason: str = ""
    """Why there is no figure."""


class ProcessOutcome(_Data):
    """What one worker process found out about one case."""

    process: int
    """Number of the process in the run, from 0."""
    position: int
    """Place of the case in this process's own random order."""
    status: StoredStatus
    failure: Failure | None = None
    duration_s: float
    """Everything together: build, numerics, warm-up, samples."""
    first_call_ns: int | None = None
    """The first call, which pays for compilation and allocation."""
    compile_ns: int | None = None
    """First call less the median later call, where the mode compiles; None elsewhere."""
    graphs_compiled: int | None = None
    """Graphs that the compiler made; None where they can't be counted."""
    graph_breaks: int | None = None
    """Places at which the compiler gave up a graph and began another; None where it can't say."""
    cache_state: str | None = None
    """"memory" where this process had all compiled code already, "warm" where it was found in a
    cache on disk, else "cold"; None where nothing is compiled."""
    cache_hits: int | None = None
    """Compiled graphs found on disk in the first call."""
    cache_files_before: int | None = None
    """Files in the compile cache before the first call."""
    cache_files_after: int | None = None
    """Files in the compile cache after the first call."""
    stack_compile_ns: int | None = None
    """Compilation from the first call to the last sample, by the stack's own timer."""
    in_process_ns: int | None = None
    """First call of the same program made anew in the same process; None unless asked for."""
    start_s: float | None = None
    """Starting the worker up to its device's answer, on the first case of each worker."""
    warmup_calls: int = 0
    """Calls before the first sample; none of them is a sample."""
    warmup_ns: list[int] = []
    """Wall time of the warm-up's samples."""
    sustained: Samples | None = None
    """Calls queued back to back, one synchronisation a sample."""
    isolated: Samples | None = None
    """Calls that are each synchronised before the next starts."""
    fit: QueueFit | None = None
    split_ns: dict[str, list[int]] = {}
    """Wall time of isolated calls by part: "trace", "dispatch", "device" on a lazy backend; else
    "forward", "backward", "clip", "optimizer" of a training step."""
    fallbacks: list[str] = []
    """Operators that ran on the host instead of the device, in the first call or later."""
    numeric: NumericError | None = None
    executed_dtype: str | None = None
    """The dtype that the device computed in (TF32 for fp32, auto-cast)."""
    peak_memory_bytes: int | None = None
    peak_memory_note: str = ""
    """How the peak was read, or why it is not known."""
    device_memory_bytes: int | None = None
    """In use on the whole device after the samples, code and scratch space included."""
    device_memory_note: str = ""
    """How that was read, or why it is not known."""
    clock_hz: float | None = None
    """Clock of the processor, measured beside the case."""
    health: dict[str, Fact] = {}
    """Clocks, throttle reasons and temperature, as far as they can be read."""
    telemetry: dict[str, Sensor] = {}
    """Sensors by name over the whole of `duration_s`."""
    flags: list[str] = []


class Estimate(_Data):
    """A figure over processes with its 95 % interval (None with one process)."""

    value: float
    low: float | None = None
    high: float | None = None


def _above_zero(estimate: Estimate) -> Estimate:
    for name, value in (("value", estimate.value), ("low", estimate.low)):
        if value is not None and value <= 0:
            raise ValueError(f"{name} is {value:g}; wanted a time above 0")
    return estimate


TimeEstimate = Annotated[Estimate, AfterValidator(_above_zero)]


class Summary(_Data):
    """Estimates over the processes that measured, per call, in seconds; a regime's are above 0.

    ``isolated`` and ``sustained``: geometric mean of the processes' medians with a t-interval
    on the log scale; None where that regime was not measured (a published figure is of one).
    ``fixed_cost`` and ``slope`` (of the queue fit): arithmetic means, since an intercept may be
    zero. ``min_s`` and the quantiles are of all isolated samples; None where there are too few.
    ``rank_intervals_s`` holds a 95 % interval by rank for each quantile given: "p95": (low, high).
    ``throughput`` has its unit beside it (SI base units: FLOP/s, B/s, tokens/s); higher is
    better, and comes from the sustained regime.
    """

    processes: int
    """How many processes measured."""
    isolated: TimeEstimate | None = None
    sustained: TimeEstimate | None = None
    fixed_cost: Estimate | None = None
    slope: Estimate | None = None
    min_s: float | None = None
    p20_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    rank_intervals_s: dict[str, StoredPair] = {}
    throughput: float | None = None
    throughput_unit: str | None = None


class CostData(_Data):
    """The case's cost by formula: see ``trnbench.specs.cost.Cost``."""

    flops: int
    """Algorithmic work of the matrix engine; a multiply-add is two, causal attention half."""
    flops_counted: int | None
    """The same as `FlopCounterMode` counts it; None with `uncounted_reason`."""
    bytes_moved: int
    """Bytes between chip and memory if nothing stays on the chip between operators."""
    bytes_useful: int
    """The part of them that the caller asked for."""
    working_set_bytes: int
    """Distinct bytes that one call touches."""
    items: int
    """The workload's own unit of work in one call, in `item_unit`."""
    item_unit: str
    headline: str
    """What is shown as throughput: "flops", "bytes" or "items"."""
    convention: str
    """What the formulas include and leave out."""
    source: str
    """Where the formulas come from."""
    vector_flops: int = 0
    """Elementwise and reduction arithmetic."""
    scalar_flops: int = 0
    """Transcendental function evaluations."""
    collective_bytes: int = 0
    """Bytes over the links between devices."""
    bytes_copied: int = 0
    """The part of `bytes_moved` that a stack moves because it can't write in place."""
    items_padded: int = 0
    """Items computed only to fill a static shape, besides `items`."""
    flops_recomputed: int = 0
    """Work done a second time on purpose: HFU has it, `flops` and MFU don't."""
    estimated: bool = False
    """Counted by torch in one call for want of a formula, bytes by its operators."""
    uncounted_reason: str | None = None


class FootprintData(_Data):
    """Memory that one call needs by formula: see ``trnbench.specs.cost.Footprint``."""

    weights: int
    inputs: int
    activations: int
    """Intermediate results, the most that is alive at one time."""
    peak: int
    """The most of everything that is alive at one time."""
    gradients: int = 0
    optimizer: int = 0
    cache: int = 0
    """Keys and values."""


class RoofData(_Data):
    """The case held against one ceiling.

    ``fraction`` is floor time over measured time (sustained): 1 is the ceiling.
    ``fraction`` and ``floor_s`` are None with ``reason`` where the roof is unknown.
    """

    ceiling: Literal["datasheet", "engine", "derived", "measured", "attained"]
    """Which ceiling: what others "measured" of the chip and what this machine "attained" never
    make a case ABOVE_ROOF."""
    floor_s: float | None
    """The least time for one call at this ceiling."""
    bound: str | None
    """What binds: an engine ("tensor", "vector", "scalar"), a memory level ("DRAM", "HBM",
    "L2"), "fabric", or "dispatch"."""
    fraction: float | None
    denominator: str
    """The figure divided by, in words: "2 cores x 64 FLOP/cycle x 3.31 GHz = 424 GFLOP/s"."""
    bound_per_s: float | None = None
    """The same as a number: FLOP/s of an engine, B/s of a memory level; None of "dispatch"."""
    gate_s: float | None = None
    """A time that no call can beat by this ceiling, whatever is fused or stays in a cache: one
    shorter by more than 5 % is ABOVE_ROOF. 0 where none is known; None where the ceiling is no
    limit, and in records from before this field."""
    reason: str = ""
    """Why the roof is unknown; beside a floor, what it leaves out."""
    mfu: float | None = None
    """Model FLOPs utilisation: `flops` over the time, over this ceiling's matrix rate; None
    without matrix work or where the rate is unknown."""
    hfu: float | None = None
    """Hardware FLOPs utilisation: the same with `flops_recomputed`; None where nothing is."""
    mfu_denominator: str = ""
    """The matrix rate divided by, in words."""
    flops_per_s: float | None = None
    """The same rate as a number."""
    level: str | None = None
    """The memory level that holds the working set, whatever binds; None where no bytes move."""
    level_bytes_per_s: float | None = None
    """What that level carries; None where it is unknown, and then `reason` says why."""
    level_denominator: str = ""
    """That bandwidth, in words."""
    level_bytes: int | None = None
    """What a call must move by this ceiling: all that its operators read and write, or where they
    are compiled together only what needn't stay between them."""


class Device(_Data):
    """The device that answered: see ``trnbench.backends.protocol.DeviceIdentity``."""

    name: str
    """What the device calls itself."""
    chip: str | None
    """Its id in the catalog."""
    chip_reason: str
    """How the chip was recognised, or why it was not."""
    share: float | None
    """The part of that chip which one torch device is (Trainium2 at LNC=2: 0.25)."""
    index: int
    cores_used: int | None
    """Cores that the measurement occupied, not those present."""
    memory_bytes: int | None
    driver: str | None
    facts: dict[str, Fact] = {}
    simulated: bool = False
    """A stand-in for hardware, of which its figures say nothing."""


class Environment(_Data):
    """Where the run was made, without anything that names a person, host, account or path.

    ``machine`` is a salted hash: equal for runs of one machine, and of no use otherwise.
    """

    machine: str
    """Salted hash."""
    boot: str
    """Salted hash of the boot: equal until a restart."""
    system: str
    cpu: str
    cpus_logical: int
    memory_bytes: int
    threads: int | None
    """CPU threads of torch's operators; None where torch's own default stood."""
    python: str
    versions: dict[str, str]
    """Packages by name."""
    git: dict[str, Fact] = {}
    """Commit and whether the tree was changed."""
    variables: dict[str, str] = {}
    """NEURON_*, XLA_*, PJRT_* and CUDA_* after torch was imported."""
    load_average: float | None = None
    """Over the last minute, when the run began."""


class Record(_Data):
    """The outcome of one case in one run."""

    schema_version: Literal[1] = 1
    run: str
    """Id of the run; its file's name."""
    label: str = ""
    """What the user called the run."""
    origin: Literal["measured", "simulated", "published"]
    """Never mixed in one table without saying so."""
    time: str
    """UTC, ISO 8601, when the case's last process was done."""
    status: StoredStatus
    status_counts: dict[str, int] = {}
    """How many processes ended how; the worst is ``status``."""
    failure: Failure | None = None
    """The worst process's, where the status is not OK."""
    case: CaseKey
    summary: Summary | None = None
    """Figures over the processes; None where nothing was measured."""
    cost: CostData | None = None
    """None for a workload whose cost nobody stated."""
    footprint: FootprintData | None = None
    """Memory by formula; None where nobody modelled it."""
    roofs: list[RoofData] = []
    """One for each ceiling."""
    numeric: NumericError | None = None
    """The largest error of the processes."""
    compile_s: float | None = None
    """The longest of the processes: a compile cache makes the others cheaper."""
    flags: list[str] = []
    """Doubts; they never change a figure."""
    processes: list[ProcessOutcome] = []
    """All that was measured, raw."""
    device: Device | None = None
    environment: Environment | None = None
    telemetry: dict[str, Sensor] = {}
    """Sensors by name over all processes."""
    notes: str = ""
    """What the source of a published record says of it."""
    catalog_version: str = ""
    """Version of the catalog that the roofs come from."""
    ceiling_id: str | None = None
    """The stored ``trnbench ceiling`` measurement that the attained roof comes from."""
    source: str = ""
    """Where a published record comes from."""
