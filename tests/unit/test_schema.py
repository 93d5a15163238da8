"""The page about records says what the types say."""

from __future__ import annotations

from pathlib import Path

from trnbench.results.record import CaseKey, ProcessOutcome, Record, Status
from trnbench.results.schema import schema_page

PAGE = Path(__file__).parents[2] / "docs" / "records.md"


def table_of(page, section):
    body = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in body.splitlines() if line.startswith("| `")]
    return {row[0].strip("|` "): row[1:] for row in rows}


def test_the_checked_in_page_is_the_one_that_the_types_give():
    assert PAGE.read_text(encoding="utf-8") == schema_page(), "run: make docs"


def test_each_field_of_a_record_and_of_what_it_holds_is_listed():
    page = schema_page()

    for model in (Record, CaseKey, ProcessOutcome):
        assert list(table_of(page, model.__name__)) == list(model.model_fields)


def test_a_field_shows_its_type_its_default_and_its_meaning():
    table = table_of(schema_page(), "Record")

    assert table["time"][:2] == ["str", "must be given"]
    assert table["summary"][:2] == [r"Summary \| None", "`None`"]
    assert "UTC" in table["time"][2]


def test_every_status_is_named():
    page = schema_page()

    assert [status for status in Status if f"`{status}`" not in page] == []
