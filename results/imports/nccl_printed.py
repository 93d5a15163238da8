"""What nccl-tests printed, as it stands there: its table, and its JSON.

Source: NVIDIA/nccl-tests, ``src/util.cu`` (``writeResultHeader``, ``writeBenchmarkLineBody``,
``jsonOutputInit``), read 2026-11-26; of the older headings, ``print_header`` in each operation's
file of 2019.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ..exports.escapes import one_line
from .fields import read_count, read_list, read_number, read_object, read_text
from .given import parse_json

PLACEMENTS = ("out-of-place", "in-place")

_OPERATIONS = {
    "all_gather": "all_gather",
    "all_reduce": "all_reduce",
    "alltoall": "all_to_all",
    "broadcast": "broadcast",
    "gather": "gather",
    "hypercube": "hypercube",
    "reduce": "reduce",
    "reduce_scatter": "reduce_scatter",
    "scatter": "scatter",
    "sendrecv": "sendrecv",
}
_PROGRAM_NAME = re.compile(r"(?<![a-z_])([a-z_]+)_perf(?![a-z])")
#: What mpirun --tag-output and srun --label put before a line.
_TAG = re.compile(r"^\s*(?:\[\d+,\d+\]<std(?:out|err)>:|\d+:)")
_RANK = re.compile(r"#\s+Rank\s+\d+\s+(?:Group\s+(\d+)\s+)?Pid\s+\d+ on .* \[[^\]]*\]\s+(.+)")
_OUT_OF_BOUNDS = re.compile(r"#\s*Out of bounds values\s*:\s*(\d+)")


@dataclass(frozen=True, slots=True)
class PrintedHalf:
    """One placement of one row, as printed: microseconds and GB/s."""

    where: str
    size_bytes: int
    count: int
    dtype: str
    reduction: str
    placement: str
    time_us: float
    algbw: float
    busbw: float
    wrong: int | None


@dataclass(slots=True)
class Printed:
    """What one output holds. ``wrong_values`` is its total, None where it says none."""

    halves: list[PrintedHalf] = field(default_factory=list)
    operation: str = ""
    ranks_of_group: dict[str, int] = field(default_factory=dict)
    devices: list[str] = field(default_factory=list)
    wrong_values: int | None = None

    @property
    def ranks(self) -> int | None:
        """The ranks of one group; None where no rank is listed, or groups differ."""
        counts = set(self.ranks_of_group.values())
        return counts.pop() if len(counts) == 1 else None


def read_table(text: str) -> Printed:
    output = Printed()
    names: list[str] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = untagged(raw)
        heading = heading_of(line)
        if heading:
            if names:
                raise ValueError(f"line {number}: a second table; give one run at a time")
            names = heading
        elif names and line.partition(" ")[0].isdigit():
            output.halves += _read_row(line, names, f"line {number}")
        else:
            _read_remark(line, output)
    return output


def untagged(line: str) -> str:
    return _TAG.sub("", line, count=1).strip()


def heading_of(line: str) -> list[str]:
    """The names of the columns, or none where the line is no heading of this program."""
    words = line.lstrip("# ").split()
    is_one = line.startswith("#") and words[:2] in (["size", "count"], ["bytes", "N"])
    return words if is_one and words.count("algbw") == 2 and words.count("busbw") == 2 else []


def _read_remark(line: str, output: Printed) -> None:
    """A line that is no row: the program's name, a rank and its device, the count of errors."""
    rank = _RANK.match(line)
    if rank is not None:
        group = rank.group(1) or "0"
        output.ranks_of_group[group] = output.ranks_of_group.get(group, 0) + 1
        output.devices.append(one_line(rank.group(2), 100))
        return
    total = _OUT_OF_BOUNDS.match(line)
    if total is not None:
        output.wrong_values = int(total.group(1)[:18])
    output.operation = output.operation or _operation(line)


def _operation(text: str) -> str:
    """By the name of the program, wherever it stands in a line."""
    found = (_OPERATIONS.get(match.group(1)) for match in _PROGRAM_NAME.finditer(text))
    return next((name for name in found if name), "")


def _read_row(line: str, names: list[str], where: str) -> list[PrintedHalf]:
    if "cputime" in names:
        raise ValueError(f"{where}: column 'cputime' given; wanted the time: run without -C 1")
    words = line.split()
    if names[-1] == "timestamp":
        # Date and time of day, the one column of two words.
        names, words = names[:-1], words[:-2]
    if len(words) != len(names):
        raise ValueError(
            f"{where}: {len(words)} columns given ('{one_line(line, 50)}'), the heading has "
            f"{len(names)}: was the line cut?"
        )
    first = names.index("time") if "time" in names else len(names)
    width = (len(names) - first) // 2
    if names[first : first + width] != names[first + width :] or "algbw" not in names[first:]:
        raise ValueError(
            f"{where}: below a heading without 'time', 'algbw' and 'busbw' for both placements; "
            "give the output as it was written"
        )
    shared = dict(zip(names[:first], words[:first], strict=True))
    return [
        _half(
            shared
            | dict(
                zip(names[start : start + width], words[start : start + width], strict=True),
            ),
            placement,
            where,
        )
        for placement, start in zip(PLACEMENTS, (first, first + width), strict=True)
    ]


def _half(columns: dict[str, str], placement: str, where: str) -> PrintedHalf:
    wrong = columns.get("#wrong", "N/A")
    counted = None if wrong == "N/A" else read_count(wrong, f"{where}: #wrong")
    size = columns.get("size", columns.get("bytes"))
    return PrintedHalf(
        where=where,
        size_bytes=read_count(size, f"{where}: size", least=1),
        count=read_count(columns.get("count", columns.get("N")), f"{where}: count"),
        dtype=columns.get("type", ""),
        reduction=columns.get("redop", columns.get("op", "")),
        placement=placement,
        time_us=_time(columns["time"], f"{where}: time"),
        algbw=read_number(columns["algbw"], f"{where}: algbw"),
        busbw=read_number(columns["busbw"], f"{where}: busbw"),
        wrong=counted,
    )


def _time(value: Any, where: str) -> float:
    time_us = read_number(value, where)
    if time_us == 0:
        raise ValueError(f"{where} is 0; wanted a time above 0")
    return time_us


def read_json(text: str) -> Printed:
    content = read_object(parse_json(text), "the file")
    output = Printed()
    arguments = read_list(content.get("args") or [], "field 'args'")
    if arguments and isinstance(arguments[0], str):
        output.operation = _operation(PurePosixPath(arguments[0]).name)
    config = read_object(content.get("config") or {}, "field 'config'")
    for device in read_list(config.get("devices") or [], "field 'config.devices'"):
        entry = read_object(device, "an entry of field 'config.devices'")
        group = one_line(str(entry.get("group", 0)), 20)
        output.ranks_of_group[group] = output.ranks_of_group.get(group, 0) + 1
        name = read_text(entry.get("device_info"), "field 'config.devices.device_info'")
        output.devices.append(name)
    bounds = read_object(content.get("out_of_bounds") or {}, "field 'out_of_bounds'")
    if bounds.get("count") is not None:
        output.wrong_values = read_count(bounds["count"], "field 'out_of_bounds.count'")
    rows = read_list(content.get("results"), "field 'results'")
    for number, row in enumerate(rows, start=1):
        columns = read_object(row, f"result {number}")
        for placement in PLACEMENTS:
            half = columns.get(placement.replace("-", "_"))
            # Null where that placement wasn't run.
            if half is not None:
                output.halves.append(_json_half(columns, half, placement, f"result {number}"))
    return output


def _json_half(columns: dict[str, Any], half: Any, placement: str, where: str) -> PrintedHalf:
    figures = read_object(half, f"{where}: {placement}")
    if "cpu_time" in figures:
        raise ValueError(f"{where}: field 'cpu_time' given; wanted the time: run without -C 1")
    wrong = figures.get("nwrong")
    return PrintedHalf(
        where=f"{where}: {placement}",
        size_bytes=read_count(columns.get("size"), f"{where}: field 'size'", least=1),
        count=read_count(columns.get("count"), f"{where}: field 'count'"),
        dtype=read_text(columns.get("type"), f"{where}: field 'type'"),
        reduction=read_text(columns.get("redop", ""), f"{where}: field 'redop'"),
        placement=placement,
        time_us=_time(figures.get("time"), f"{where}: field 'time'"),
        algbw=read_number(figures.get("alg_bw"), f"{where}: field 'alg_bw'"),
        busbw=read_number(figures.get("bus_bw"), f"{where}: field 'bus_bw'"),
        wrong=None if wrong is None else read_count(wrong, f"{where}: field 'nwrong'"),
    )
