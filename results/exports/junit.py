"""Test results in XML: a case that didn't end well is a failure or a skip, with its reason.

Elements and attributes are those that Jenkins' and pytest's readers share (``junit-10.xsd`` of
the xunit plugin). ``time`` is left out: a call's time is no test's duration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from ..origin import SIMULATED_NOTICE
from ..printable import printable
from ..quantity import format_plus_minus, format_seconds
from .cases import case_names, headline_times, is_failed, refuse_mixed_origins
from .exported import Exported

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ["name", "workload", "status", "failure", "flags", "time_s", "low_s", "high_s", "regime"]


def junit_xml(frame: pd.DataFrame) -> Exported:
    """One ``testsuite`` a run; OK passes, UNSUPPORTED and SKIPPED are skips, the rest fail."""
    refuse_mixed_origins(frame)
    rows = frame.join(headline_times(frame)).assign(name=case_names(frame))
    rows["failed"] = rows["status"].map(is_failed).astype("bool")
    rows["skipped"] = ~rows["failed"] & (rows["status"].astype("str") != "OK")
    suites = ET.Element("testsuites", _counts(rows))
    for run, part in rows.groupby(rows["run"].astype("str"), sort=False):
        suite = ET.SubElement(
            suites,
            "testsuite",
            {
                "name": printable(f"trnbench {run}"),
                **_counts(part),
                **_timestamp(part["time"]),
            },
        )
        for row in part[[*_COLUMNS, "failed", "skipped", "origin"]].itertuples(index=False):
            _add_case(suite, row)
    ET.indent(suites, " ")
    return Exported(f"<?xml version='1.0' encoding='utf-8'?>\n{_text(suites)}\n")


def _text(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")


def _counts(rows: pd.DataFrame) -> dict[str, str]:
    return {
        "tests": str(len(rows)),
        "failures": str(int(rows["failed"].sum())),
        "errors": "0",
        "skipped": str(int(rows["skipped"].sum())),
    }


def _timestamp(times: pd.Series[Any]) -> dict[str, str]:
    """When the first case was done; nothing where no case's time is known."""
    known = times.dropna()
    return {"timestamp": f"{known.min():%Y-%m-%dT%H:%M:%S}"} if len(known) else {}


def _add_case(suite: ET.Element, row: Any) -> None:
    case = ET.SubElement(
        suite, "testcase", {"classname": printable(f"trnbench.{row.workload}"), "name": row.name}
    )
    reason = printable(row.failure) if isinstance(row.failure, str) else "no reason given"
    if row.failed:
        failure = ET.SubElement(case, "failure", {"message": reason, "type": str(row.status)})
        failure.text = reason
    elif row.skipped:
        ET.SubElement(case, "skipped", {"message": f"{row.status}: {reason}"})
    said = _said(row)
    if said:
        ET.SubElement(case, "system-out").text = said


def _said(row: Any) -> str:
    parts = [] if row.origin != "simulated" else [SIMULATED_NOTICE]
    if row.time_s == row.time_s:
        known = row.low_s == row.low_s
        arm = format_plus_minus(row.time_s, row.low_s, row.high_s) if known else ""
        parts.append(f"{format_seconds(row.time_s)} a call, {row.regime}{f' ± {arm}' * known}")
    if isinstance(row.flags, str) and row.flags:
        parts.append(f"flags: {printable(row.flags)}")
    return "; ".join(parts)
