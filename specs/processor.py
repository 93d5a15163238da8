"""Theoretical peaks of a CPU: FLOP per cycle of a core x cores used x a measured clock.

Upper bounds. A multiply-add is two operations. Where variants of a core differ or a feature
can't be excluded the higher rate stands, since more than 105 % of a peak is called impossible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .microarchitecture import Core, CpuFacts, recognise
from .units import words_of_cores, words_of_rate

__all__ = ["DTYPES", "CpuFacts", "Peak", "cpu_peaks"]

#: A tile product of 16 rows x 16 columns x 64 bytes starts every 16 cycles (sources in processors.toml): 16*16*32 multiply-adds of 2-byte, 16*16*64 of 1-byte elements.
AMX_CYCLES = 16
AMX_2_BYTE = 16 * 16 * 32 * 2 // AMX_CYCLES
AMX_1_BYTE = 16 * 16 * 64 * 2 // AMX_CYCLES

DTYPES = ("fp32", "bf16", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class Peak:
    """The peak of one dtype.

    ``steps`` shows each factor. ``reason`` says why a figure is None, and with a figure what
    was decided on the way.
    """

    flops_per_s: float | None
    flop_per_cycle_per_core: int | None
    steps: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Cycle:
    """Operations of one core per cycle, and how that comes about."""

    flop: int
    steps: str
    reason: str = ""


def cpu_peaks(facts: CpuFacts, cores_used: int, clock_hz: float | None) -> dict[str, Peak]:
    """Peaks of ``cores_used`` physical cores at ``clock_hz``, a clock that was measured.

    Keys: "fp32", "bf16", "fp16", "int8" for matrix work, and each with "vector_" before it for
    elementwise work. Every key is there; what isn't known is None with the reason. Raises
    ``ValueError`` for a count of cores below 1 or above the machine's, or a clock of 0 or less.
    """
    if cores_used < 1 or (facts.physical_cores is not None and cores_used > facts.physical_cores):
        raise ValueError(
            f"cores_used is {cores_used}; wanted 1 to {facts.physical_cores or 'all'} "
            "physical cores"
        )
    if clock_hz is not None and clock_hz <= 0:
        raise ValueError(f"clock_hz is {clock_hz!r}; wanted more than 0, or None if not measured")
    recognition = recognise(facts)
    keys = [*DTYPES, *(f"vector_{dtype}" for dtype in DTYPES)]
    if recognition.core is None:
        return {key: Peak(None, None, "", recognition.reason) for key in keys}
    core = recognition.core
    if facts.architecture == "x86_64":
        missing = {"fma", "avx2"} - facts.flags
        cycles = {} if missing else _x86(core, facts)
    else:
        missing = {"asimd"} - facts.flags
        cycles = {} if missing else _arm(core, facts.flags)
    if missing:
        reason = f"{core.name} without {', '.join(sorted(missing))}: its rate isn't in the table"
        return {key: Peak(None, None, "", reason) for key in keys}
    remarks = [recognition.reason, core.note]
    return {key: _peak(cycles.get(key), cores_used, clock_hz, remarks) for key in keys}


def _peak(cycle: _Cycle | None, cores: int, clock_hz: float | None, remarks: list[str]) -> Peak:
    if cycle is None:  # int8: the pipes for integers are others than those for FMA
        return Peak(None, None, "", "elementwise integer rates aren't in the table")
    reason = "; ".join(part for part in (cycle.reason, *remarks) if part)
    steps = f"{cycle.steps} = {cycle.flop} FLOP/cycle a core, x {words_of_cores(cores)}"
    if clock_hz is None:
        return Peak(None, cycle.flop, steps, "; ".join(filter(None, ("no measured clock", reason))))
    rate = float(cycle.flop) * cores * clock_hz
    total = words_of_rate(rate, "FLOP/s")
    return Peak(rate, cycle.flop, f"{steps} x {clock_hz / 1e9:.3g} GHz measured = {total}", reason)


def _x86(core: Core, facts: CpuFacts) -> Mapping[str, _Cycle]:
    flags = facts.flags
    widths = [width for width in core.fma if width <= 256 or "avx512f" in flags]
    fp32 = max((_fma(core.fma[width], width, 32) for width in widths), key=lambda c: c.flop)
    vector = max((_vector(core, width) for width in widths), key=lambda c: c.flop)
    cycles = {
        "fp32": fp32,
        "bf16": _Cycle(fp32.flop, fp32.steps, "no bf16 instructions: the fp32 rate"),
        "fp16": _Cycle(fp32.flop, fp32.steps, "no fp16 arithmetic: the fp32 rate"),
        # VPDPBUSD (VNNI) and, without it, VPMADDUBSW multiply four times as many int8 as FMA
        # does fp32, on no more ports.
        "int8": _Cycle(fp32.flop * 4, f"{fp32.steps} x 4 int8 in the place of a fp32"),
        "vector_fp32": vector,
        "vector_bf16": _Cycle(
            vector.flop, vector.steps, "no elementwise bf16 instructions: the fp32 rate"
        ),
        "vector_fp16": _Cycle(vector.flop, vector.steps, "no fp16 arithmetic: the fp32 rate"),
    }
    if "avx512_bf16" in flags:
        cycles["bf16"] = _Cycle(fp32.flop * 2, f"{fp32.steps} x 2 bf16 pairs (VDPBF16PS)")
    if "avx512_fp16" in flags:
        cycles["fp16"] = _Cycle(fp32.flop * 2, f"{fp32.steps} x 2 fp16 in the place of a fp32")
        cycles["vector_fp16"] = _Cycle(
            vector.flop * 2, f"({vector.steps}) x 2 fp16 in the place of a fp32"
        )
    if "amx_tile" in flags:
        cycles |= _amx(core, facts)
    return cycles


def _amx(core: Core, facts: CpuFacts) -> Mapping[str, _Cycle]:
    two = f"AMX tile product 16 x 16 x 32 x 2 every {AMX_CYCLES} cycles"
    one = f"AMX tile product 16 x 16 x 64 x 2 every {AMX_CYCLES} cycles"
    cycles = {}
    if "amx_bf16" in facts.flags:
        cycles["bf16"] = _Cycle(AMX_2_BYTE, two)
    if "amx_int8" in facts.flags:
        cycles["int8"] = _Cycle(AMX_1_BYTE, one)
    has = facts.amx_fp16
    if "amx_fp16" in facts.flags | core.always:
        has = True
    if has is None and "amx_fp16" in core.features:
        cycles["fp16"] = _Cycle(
            AMX_2_BYTE, two, "AMX-FP16 can't be excluded: Linux doesn't list it among the flags"
        )
    elif has:
        cycles["fp16"] = _Cycle(AMX_2_BYTE, two)
    return cycles


def _arm(core: Core, flags: frozenset[str]) -> Mapping[str, _Cycle]:
    (width, pipes), *_ = core.fma.items()
    fp32 = _fma(pipes, width, 32)
    fp16 = _fma(pipes, width, 16)
    plain = _Cycle(fp32.flop, fp32.steps, "no fp16 arithmetic: the fp32 rate")
    cycles = {
        "fp32": fp32,
        "vector_fp32": fp32,
        "fp16": fp16 if "asimdhp" in flags else plain,
        "vector_fp16": fp16 if "asimdhp" in flags else plain,
        "bf16": _Cycle(fp32.flop, fp32.steps, "no bf16 instructions: the fp32 rate"),
        "vector_bf16": _Cycle(
            fp32.flop, fp32.steps, "no elementwise bf16 instructions: the fp32 rate"
        ),
        # SDOT: 16 multiply-adds in 128 bits. Without it nothing is faster.
        "int8": _Cycle(pipes * 16 * 2, f"{pipes} pipes x 16 int8 multiply-adds (SDOT) x 2"),
    }
    if "bf16" in flags:
        # BFMMLA: 2 x 4 by 4 x 2.
        cycles["bf16"] = _Cycle(pipes * 16 * 2, f"{pipes} pipes x 16 multiply-adds (BFMMLA) x 2")
    if "i8mm" in flags:
        # SMMLA: 2 x 8 by 8 x 2.
        cycles["int8"] = _Cycle(pipes * 32 * 2, f"{pipes} pipes x 32 multiply-adds (SMMLA) x 2")
    return cycles


def _fma(ports: int, width: int, bits: int) -> _Cycle:
    lanes = width // bits
    steps = f"{ports} FMA ports x {lanes} lanes of {bits} bits ({width}-bit) x 2"
    return _Cycle(ports * lanes * 2, steps)


def _vector(core: Core, width: int) -> _Cycle:
    fma, adds = _fma(core.fma[width], width, 32), core.add.get(width, 0)
    if not adds:
        return fma
    lanes = width // 32
    return _Cycle(fma.flop + adds * lanes, f"{fma.steps} + {adds} ADD ports x {lanes} lanes")
