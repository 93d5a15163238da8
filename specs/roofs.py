"""Roofs from what is known: a chip of the catalog, a CPU's peaks, an attained ceiling."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from .attained import AttainedCeiling
from .catalog import Chip
from .chip import peak_dtype
from .figure import Figure
from .measured import load_measured
from .processor import Peak
from .roofline import Engine, Level, Rate, Roof
from .silicon import cores_of_share, part_of
from .units import unit_of_work, words_of_cores, words_of_rate, words_of_size

#: Caches that may hold a working set from call to call, and what they are called.
CACHES: Mapping[str, str] = MappingProxyType({"l2": "L2", "infinity_cache": "Infinity Cache"})
_NOT_MEASURED = Rate(None, reason="an attained ceiling measures matmul and bandwidth only")


def roof_of_chip(
    chip: Chip, share: float, dtype: str, ceiling: Literal["datasheet", "engine"]
) -> Roof | None:
    """The roof of one torch device that is ``share`` of ``chip``, computing in ``dtype``.

    "datasheet": the published dense peak and memory bandwidth. "engine": the tensor engines of
    the device's cores, and memory as far as the DMA engines can carry it; None where the
    catalog has no engine figures for the chip.
    """
    dtype = peak_dtype(dtype)
    if ceiling == "engine":
        if not chip.tensor_engine_per_core or cores_of_share(chip, share) is None:
            return None
        tensor, bandwidth = _tensor_by_core(chip, share, dtype), _carried(chip, share)
    else:
        tensor, bandwidth = _tensor_by_chip(chip, share, dtype), _published(chip, share)
    caches, retained, scratch = _on_chip(chip, share)
    return Roof(
        ceiling=ceiling,
        engines={
            "tensor": tensor,
            "vector": _vector(chip, share, dtype),
            "scalar": _by_core(chip, share, dtype, "scalar"),
        },
        memory=(*caches, bandwidth),
        retained_bytes=retained,
        scratch=scratch,
    )


def roof_of_measured(chip: Chip, share: float, dtype: str) -> Roof | None:
    """What somebody measured the chip's cores to attain in ``dtype``: the tensor engine under
    its own limit of use, and memory as DMA carries it. None where nobody did."""
    known, cores = load_measured().get(chip.id, {}), cores_of_share(chip, share)
    if "tensor_per_core" not in known or cores is None:
        return None
    engine, limit, dma = (
        known[name] for name in ("tensor_per_core", "tensor_limit", "dma_per_core")
    )
    flops, carried = engine.si * limit.si * cores, dma.si * cores
    tensor = Rate(
        flops,
        f"{engine.words} bf16 tensor engine a core x {limit.value:g} of its time x "
        f"{words_of_cores(cores)} = {words_of_rate(flops, 'FLOP/s')}, {_measured_by(engine)}",
        source=_source(engine),
    )
    if dtype != "bf16":
        tensor = Rate(None, reason=f"nobody measured {dtype} on {chip.id}")
    words = f"{dma.words} DMA a core x {words_of_cores(cores)} = {words_of_rate(carried, 'B/s')}, "
    words += _measured_by(dma)
    unmeasured = Rate(None, reason=f"nobody measured it of {chip.id}")
    return Roof(
        ceiling="measured",
        engines={"tensor": tensor, "vector": unmeasured, "scalar": unmeasured},
        memory=(Level(_published(chip, share).name, None, carried, words, source=_source(dma)),),
    )


def roof_of_cpu(peaks: Mapping[str, Peak], dtype: str) -> Roof:
    """The derived roof of a CPU. Its memory is unknown: what is behind a virtual machine's
    DRAM can't be known, and no source gives the bandwidth of caches."""
    return Roof(
        ceiling="derived",
        engines={
            "tensor": _of_peak(peaks, dtype),
            "vector": _of_peak(peaks, f"vector_{dtype}"),
            "scalar": Rate(None, reason="no published rate of transcendental functions"),
        },
        memory=(
            Level(
                "DRAM",
                None,
                None,
                reason="the peak of a machine's DRAM can't be read, least of all in a "
                "virtual machine",
            ),
        ),
    )


def roof_of_attained(ceiling: AttainedCeiling, dtype: str) -> Roof:
    """The attained roof: best matmul of the dtype, bandwidth by working set, dispatch.

    Each measured working set is a level, so that a case is held against the nearest measured
    set that is at least as large: the device really did carry that much at that rate. The last
    set measured inside a cache stands for the rest of that cache. A level is never slower than
    a larger one, since a smaller set can't take longer.
    """
    best = ceiling.matmul.get(dtype)
    if best is None:
        tensor = Rate(None, reason=f"no {dtype} matmul in ceiling {ceiling.id}")
    else:
        shape = "x".join(map(str, best.shape))
        words = f"{words_of_rate(best.flops_per_s, 'FLOP/s')} reached by {dtype} matmul {shape}"
        tensor = Rate(best.flops_per_s, words)
    return Roof(
        ceiling="attained",
        engines={"tensor": tensor, "vector": _NOT_MEASURED, "scalar": _NOT_MEASURED},
        memory=_measured_levels(ceiling),
        # What the host pays for an isolated call; on a device with a queue it is hidden behind
        # the calls before, and is no part of a sustained call's floor.
        fixed_s=(ceiling.dispatch_s or 0.0) if ceiling.backend == "cpu" else 0.0,
    )


def _measured_levels(ceiling: AttainedCeiling) -> tuple[Level, ...]:
    points = [(point.working_set_bytes, *point.best) for point in ceiling.bandwidth if point.best]
    caches = sorted(ceiling.caches, key=lambda cache: cache.bytes)
    holders = [next((c for c in caches if size <= c.bytes), None) for size, _, _ in points]
    if not points or holders[-1] is not None:
        reason = f"ceiling {ceiling.id} has no bandwidth of so large a working set"
        beyond = [Level(ceiling.memory, None, None, reason=reason)]
    else:
        beyond = []
    levels: list[Level] = []
    fastest, kind = 0.0, ""
    for i in reversed(range(len(points))):
        size, rate, way = points[i]
        if rate > fastest:
            fastest, kind = rate, f"{way} of {words_of_size(size)}"
        cache = holders[i]
        name = ceiling.memory if cache is None else cache.name
        capacity: float | None = size
        if i + 1 == len(points) or holders[i + 1] != cache:  # the largest set in this level
            capacity = None if cache is None else cache.bytes
        words = f"{words_of_rate(fastest, 'B/s')} reached by {kind} ({name})"
        levels.append(Level(name, capacity, fastest, words))
    return (*reversed(levels), *beyond)


def _of_peak(peaks: Mapping[str, Peak], key: str) -> Rate:
    peak = peaks.get(key)
    if peak is None:
        return Rate(None, reason=f"no peak is known for {key.replace('_', ' ')}")
    return Rate(peak.flops_per_s, peak.steps, peak.reason)


def _tensor_by_chip(chip: Chip, share: float, dtype: str) -> Rate:
    figure = chip.peak_dense.get(dtype)
    if figure is None:
        return Rate(None, reason=f"the catalog has no dense {dtype} peak for {chip.id}")
    rate = part_of(figure, share)
    words = _words(
        f"{_said(figure)} dense {dtype}", share, words_of_rate(rate, unit_of_work(dtype))
    )
    return Rate(rate, words, source=_source(figure))


def _tensor_by_core(chip: Chip, share: float, dtype: str) -> Rate:
    figure = chip.tensor_engine_per_core.get(dtype)
    if figure is None:
        return Rate(None, reason=f"the catalog has no {dtype} tensor engine rate for {chip.id}")
    return _times_cores(chip, share, figure, dtype, "tensor")


def _vector(chip: Chip, share: float, dtype: str) -> Rate:
    """Of a NeuronCore its vector engine. NVIDIA's fp32 peak is that of the CUDA cores: the tensor
    cores compute tf32 and narrower."""
    figure = chip.peak_dense.get("fp32")
    if chip.vendor != "NVIDIA" or figure is None:
        return _by_core(chip, share, dtype, "vector")
    if dtype != "fp32":
        return Rate(None, reason=f"the catalog has {chip.id}'s CUDA cores in fp32 only")
    rate = part_of(figure, share)
    words = _words(f"{_said(figure)} fp32 CUDA cores", share, words_of_rate(rate, "FLOP/s"))
    return Rate(rate, words, source=_source(figure))


def _by_core(chip: Chip, share: float, dtype: str, engine: Engine) -> Rate:
    figure = chip.figure("engines", f"{engine}_fp32_per_core")
    if figure is None:
        return Rate(None, reason=f"the catalog has no {engine} engine rate for {chip.id}")
    if dtype != "fp32":
        # Narrow types run up to four times as fast in some modes: the fp32 figure would be no
        # upper bound.
        return Rate(None, reason=f"the {engine} engine's rate is published for fp32 only")
    return _times_cores(chip, share, figure, "fp32", engine)


def _times_cores(chip: Chip, share: float, figure: Figure, dtype: str, engine: Engine) -> Rate:
    cores = cores_of_share(chip, share)
    if cores is None:
        return Rate(None, reason=f"share {share:g} isn't a whole number of {chip.id}'s cores")
    rate = figure.si * cores
    total = words_of_rate(rate, unit_of_work(dtype))
    words = f"{_said(figure)} {dtype} {engine} engine a core x {words_of_cores(cores)} = {total}"
    return Rate(rate, words, source=_source(figure))


def _published(chip: Chip, share: float) -> Level:
    bandwidth, capacity = chip.figure("memory", "bandwidth"), chip.figure("memory", "capacity")
    kind = "" if capacity is None else capacity.kind
    name = next((known for known in ("HBM", "GDDR") if known in kind), "DRAM")
    if bandwidth is None:
        return Level(name, None, None, reason=f"the catalog has no bandwidth for {chip.id}")
    rate = part_of(bandwidth, share)
    words = _words(f"{_said(bandwidth)} {name}", share, words_of_rate(rate, "B/s"))
    return Level(name, None, rate, words, source=_source(bandwidth))


def _carried(chip: Chip, share: float) -> Level:
    """Main memory as the DMA engines of the device's cores can reach it."""
    memory = _published(chip, share)
    figure, cores = chip.figure("dma", "per_core"), cores_of_share(chip, share)
    if figure is None or cores is None or memory.bytes_per_s is None:
        return memory
    rate = figure.si * cores
    if rate >= memory.bytes_per_s:
        return memory
    words = f"{_said(figure)} DMA a core x {words_of_cores(cores)} = {words_of_rate(rate, 'B/s')}"
    return Level(memory.name, None, rate, words, source=_source(figure))


def _on_chip(chip: Chip, share: float) -> tuple[tuple[Level, ...], float | None, Level | None]:
    """Caches, whose bandwidth isn't published; what may stay on the chip between calls; and the
    scratch memory of NeuronCores.

    A cache may hold a working set from call to call; scratch memory is filled by each call, so
    it is no level, but a compiler may keep a part in it.
    """
    scratch, cores = chip.figure("onchip", "sbuf_per_core"), cores_of_share(chip, share)
    if scratch is not None and cores is not None:
        held = scratch.si * cores
        words = words_of_size(round(held))
        return (), held, Level("SBUF", held, None, words, source=_source(scratch))
    levels = []
    for key, name in CACHES.items():
        figure = chip.figure("onchip", key)
        if figure is not None:
            reason = f"the catalog has no bandwidth for the {figure.words} {name} of {chip.id}"
            held = part_of(figure, share)
            levels.append(Level(name, held, None, reason=reason, source=_source(figure)))
    if not levels:
        return (), None, None
    return tuple(levels), sum(level.capacity_bytes or 0.0 for level in levels), None


def _measured_by(figure: Figure) -> str:
    return f"measured: {_source(figure)}"


def _source(figure: Figure) -> str:
    return f"{figure.origin.source}, {figure.origin.date}"


def _said(figure: Figure) -> str:
    """As the source prints it; a figure that no page of the vendor's stands behind says so."""
    return f"{figure.words} (unconfirmed)" if figure.origin.unconfirmed else figure.words


def _words(figure: str, share: float, total: str) -> str:
    return figure if share == 1 else f"{figure} x {share:g} of the chip = {total}"
