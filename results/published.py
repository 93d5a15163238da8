"""Measurements that others published, read in as records of the origin "published".

The file is a CSV with one measurement a row and its configuration as JSON, whose columns are
``COLUMNS``; its path is an argument, and no such table is part of this package. A plain matrix
product becomes the workload ``matmul`` with that family's parameters, so that it aligns with a
run made here; every other row keeps the name that its source gave it.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .imports.given import parse_json
from .lines import RecordError, StoreError
from .printable import printable
from .record import (
    CaseKey,
    CostData,
    Device,
    Estimate,
    Failure,
    Record,
    RoofData,
    Status,
    Summary,
)

Roofs = Callable[[Record], list[RoofData]]

COLUMNS = (
    "id",
    "source_repo_or_doc",
    "source_path",
    "source_date",
    "chip",
    "n_devices",
    "instance_type",
    "stack_version",
    "workload",
    "phase",
    "model_params_or_shape",
    "dtype",
    "parallelism",
    "metric",
    "value",
    "unit",
    "notes",
    "flops",
    "bytes",
    "time_s",
    "flags",
)

#: The labels that such tables give to chips, as ids of the catalog. A label that doesn't say
#: for certain which chip it was ("H100", "Trainium") is left out on purpose.
CHIPS = {
    "Inferentia1": "inferentia1",
    "Inferentia2": "inferentia2",
    "Trainium1": "trainium1",
    "Trainium2": "trainium2",
    "Trainium3": "trainium3",
    "A100-SXM": "a100_sxm_80gb",
    "A100-SXM-40GB": "a100_sxm_40gb",
    "H100-SXM": "h100_sxm",
    "H200": "h200_sxm",
    "B200": "b200_sxm",
    "GB200": "gb200_gpu",
    "L40S": "l40s",
    "L4": "l4",
    "A10G": "a10g",
    "T4": "t4",
    "MI300X": "mi300x",
    "TPU v5e": "tpu_v5e",
    "TPU v5p": "tpu_v5p",
}

#: NeuronCores of a chip: what "cores=1" is a part of.
CORES = {
    "inferentia1": 4,
    "inferentia2": 2,
    "trainium1": 2,
    "trainium2": 8,
    "trainium3": 8,
}

_PHASES = {"op": "forward", "fwd": "forward", "train": "training"}
_SHAPE = {"m", "n", "k"}
#: Keys beside m, n and k that leave it a plain product. "ta" and "tb" say how an operand lies
#: in memory, "published_mfu_pct" repeats a result.
_IGNORED = {"op", "ta", "tb", "published_mfu_pct", "n_cores", "batch"}
#: Counts are 64-bit, in a record and in its frame.
_MOST = 2.0**63
#: Shorter than a clock's tick, and longer than any measurement.
_TIMES_S = 1e-12, 1e9


def read_published(path: Path, chips: str = "", roofs: Roofs | None = None) -> list[Record]:
    """The rows of a published table as records, in the order of the file.

    ``chips`` keeps some of them: names separated by commas, each a catalog id, a label of the
    table or the beginning of an instance type, in any case ("trainium1", "Inferentia2",
    "trn1"). ``roofs`` is asked for the ceilings of each row with a time and a known chip.

    A row whose time isn't published or can't be derived has status SKIPPED and says so; one
    that its table flags carries the flag. There is one figure a row: no interval, no processes.
    The figure stands in the sustained regime, which is what such tables publish.

    Raises ``StoreError`` for a file that can't be read or lacks columns, and ``RecordError`` with
    line and column for a row that can't be understood.
    """
    wanted = [name.strip().lower() for name in chips.split(",") if name.strip()]
    records = []
    for number, row in published_rows(path):
        if wanted and not any(_is_of_chip(row, name) for name in wanted):
            continue
        try:
            record = _record(row, path.stem)
        except ValueError as error:
            said = f"{path}: line {number}: row '{row['id']:.60}': {error}"
            raise RecordError(printable(said)) from error
        if roofs is not None and record.summary is not None:
            record = record.model_copy(update={"roofs": roofs(record)})
        records.append(record)
    return records


def published_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise StoreError(
                    f"{path}: no column {', '.join(missing)}; wanted a table of published "
                    f"measurements with the columns {', '.join(COLUMNS)}"
                )
            for row in reader:
                # The reader's own marks of a row that is longer, and of one that is shorter.
                if None in row or None in row.values():
                    raise RecordError(
                        f"{path}: line {reader.line_num}: more or fewer columns than the heading "
                        "has: was it cut?"
                    )
                yield reader.line_num, row
    except OSError as error:
        raise StoreError(f"can't read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise StoreError(
            printable(
                f"{path}: no CSV in UTF-8 ({error}); wanted a table of published measurements"
            )
        ) from error


def _is_of_chip(row: dict[str, str], name: str) -> bool:
    known = {row["chip"].lower(), CHIPS.get(row["chip"], "").lower()}
    return name in known or row["instance_type"].lower().startswith(name)


def _record(row: dict[str, str], run: str) -> Record:
    time_s = _number(row, "time_s", *_TIMES_S)
    dtype = row["dtype"].split("->")[0] or "unstated"
    cost = _cost(row)
    return Record(
        run=run,
        origin="published",
        time=row["source_date"],
        status=Status.OK if time_s is not None else Status.SKIPPED,
        failure=None if time_s is not None else _no_time(row),
        case=_case(row, dtype),
        summary=None if time_s is None else _summary(row, time_s, cost),
        cost=cost,
        flags=sorted(f"PUBLISHED: {flag}" for flag in row["flags"].split(";") if flag),
        device=_device(row),
        notes="; ".join(said for said in (row["notes"], row["stack_version"]) if said),
        source=f"{row['source_repo_or_doc']} {row['source_path']} ({row['id']})",
    )


def _case(row: dict[str, str], dtype: str) -> CaseKey:
    shape = _shape(row)
    workload, params = row["workload"], {k: v for k, v in shape.items() if _is_plain(v)}
    if _is_product(shape):
        batch = shape.get("batch", 1)
        workload = "matmul"
        params = {"op": "bmm", "batch": batch} if batch > 1 else {"op": "mm"}
        params.update({name: shape[name] for name in ("m", "n", "k")})
    return CaseKey(
        workload=workload,
        configuration=row["id"],
        params=params,
        phase=_PHASES.get(row["phase"], row["phase"]),
        dtype=dtype,
        mode=_mode(row),
        backend="published",
        devices=_devices(row),
    )


def _shape(row: dict[str, str]) -> dict[str, Any]:
    """The configuration. Raises ``ValueError`` where it is none."""
    try:
        shape = parse_json(row["model_params_or_shape"] or "{}")
    except ValueError as error:
        raise ValueError(f"column 'model_params_or_shape' is no JSON: {error}") from error
    if not isinstance(shape, dict):
        raise ValueError(  # noqa: TRY004 - a malformed file, not a wrong argument
            f"column 'model_params_or_shape' holds {shape!r:.60}; wanted an object"
        )
    for name, value in shape.items():
        if isinstance(value, int) and abs(value) >= _MOST:
            raise ValueError(
                f"column 'model_params_or_shape': '{name:.60}' is {value}; wanted an integer that "
                "64 bits hold"
            )
    return shape


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | str)


def _devices(row: dict[str, str]) -> int:
    """Chips that a row is of."""
    said = row["n_devices"] or "1"
    if not (said.isdecimal() and said.isascii() and 0 < int(said[:20]) < _MOST):
        raise ValueError(f"column 'n_devices' is '{said:.60}'; wanted a whole number above 0")
    return int(said)


def _is_product(shape: dict[str, Any]) -> bool:
    """Whether a row is one matrix product and nothing else: no duty cycle, no chain of kernels,
    and on no more of the chip than one core."""
    counts = [shape.get(name, 1) for name in (*_SHAPE, "batch")]
    named = shape.get("op") == "gemm" and _SHAPE <= shape.keys() <= _SHAPE | _IGNORED
    return named and all(map(_is_count, counts)) and shape.get("n_cores", 1) == 1


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _mode(row: dict[str, str]) -> str:
    """How the row's program came to the device: a graph that torch-xla traced, a kernel written
    by hand, or unstated."""
    said = f"{row['workload']} {row['notes']}".lower()
    if "nki" in said:
        return "kernel"
    on_neuron = CHIPS.get(row["chip"]) in CORES
    return "lazy" if on_neuron and ("torch" in said or "xla" in said) else "unstated"


def _cost(row: dict[str, str]) -> CostData | None:
    flops, moved = _number(row, "flops", 0, _MOST), _number(row, "bytes", 0, _MOST)
    if flops is None and moved is None:
        return None
    shape = _shape(row)
    if _is_product(shape):
        # The column has six digits; a ratio to a run made here wants the same count.
        flops = 2.0 * shape.get("batch", 1) * shape["m"] * shape["n"] * shape["k"]
        if flops >= _MOST:
            raise ValueError("column 'model_params_or_shape': a product of more FLOPs than 2^63")
    return CostData(
        flops=round(flops or 0),
        flops_counted=None,
        uncounted_reason="published: the work was computed from the configuration",
        bytes_moved=round(moved or 0),
        bytes_useful=round(moved or 0),
        working_set_bytes=round(moved or 0),
        items=1,
        item_unit="calls",
        headline="flops" if flops else "bytes",
        convention="matmul FLOPs, two per multiply-add; 0 bytes: not stated",
        source=f"{row['source_repo_or_doc']} {row['source_path']}",
    )


def _summary(row: dict[str, str], time_s: float, cost: CostData | None) -> Summary:
    estimate = Estimate(value=time_s)
    throughput, unit = None, None
    if cost is not None and cost.headline == "flops":
        integer = row["dtype"].startswith(("int", "uint"))
        throughput, unit = cost.flops / time_s, "OP/s" if integer else "FLOP/s"
    elif cost is not None:
        throughput, unit = cost.bytes_moved / time_s, "B/s"
    return Summary(processes=1, sustained=estimate, throughput=throughput, throughput_unit=unit)


def _device(row: dict[str, str]) -> Device:
    """One of the chips that a row is of, or the part of it that its cores are."""
    label = row["chip"]
    chip = CHIPS.get(label)
    found = re.search(r"cores=(\d{1,9})", row["parallelism"], re.ASCII)
    cores = int(found.group(1)) if found else _shape(row).get("n_cores")
    if cores is not None and not _is_count(cores):
        raise ValueError(f"{cores!r:.60} cores; wanted a whole number above 0")
    share: float | None = None
    if chip is not None:
        share = 1.0
        if cores is not None and chip in CORES:
            share = cores / CORES[chip] / _devices(row)
            if share > 1:
                raise ValueError(
                    f"column 'parallelism': {cores} cores of {_devices(row)} {label}, which has "
                    f"{CORES[chip]}; wanted all of them or a part"
                )
    return Device(
        name=label,
        chip=chip,
        chip_reason="" if chip else f"the label '{label}' names no chip of the catalog for certain",
        share=share,
        index=0,
        cores_used=cores,
        memory_bytes=None,
        driver=None,
        facts={"instance_type": row["instance_type"]},
    )


def _no_time(row: dict[str, str]) -> Failure:
    value = f"{row['value']} {row['unit']}".strip()
    return Failure(
        message=f"published as {row['metric']} {value}, from which no time of one call follows"
    )


def _number(row: dict[str, str], column: str, least: float, most: float) -> float | None:
    if not row[column]:
        return None
    try:
        value = float(row[column])
    except ValueError:
        raise ValueError(f"column '{column}' is '{row[column]:.60}'; wanted a number") from None
    if not (math.isfinite(value) and least <= value < most):
        raise ValueError(f"column '{column}' is {value:g}; wanted a number, {least:g} to {most:g}")
    return value
