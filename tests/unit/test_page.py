"""The page as text: what it says, and that nothing in a record is more than text to it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from trnbench.results.compare import compare
from trnbench.results.frame import frame_of
from trnbench.results.page import PageRun, render_page, require_extra
from trnbench.results.page.document import MissingExtraError
from trnbench.results.record import Failure, Record, Status

pytest.importorskip("altair")
pytest.importorskip("jinja2")
pytest.importorskip("vl_convert")

QUIET = (1e-3, 1.001e-3, 0.999e-3)
#: What would do something if it were more than text.
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><svg onload=alert(1)>",
    "</title></style><iframe src=http://example.com>",
    "{{7*7}}{% raw %}",
    "javascript:alert(1)",
    "=cmd|'/c calc'!A1",
    "../../../etc/passwd",
    "\x1b[2J\u202etxt.exe",
)


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.words, self._open = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data):
        if not {"style", "script"} & set(self._open):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def run_of(make, run="20261122T021733Z-4f2a9c", factor=1.0, **changes):
    roofs = [make.roof("derived", 5e-4, 0.5 / factor), make.roof("attained", 8e-4, 0.8 / factor)]
    return [
        make.record(
            make.case(configuration=f"size-{n}", params={"op": "mm", "m": n}, dtype=dtype),
            medians=tuple(median * factor * n for median in QUIET),
            run=run,
            roofs=roofs,
            **changes,
        )
        for n in (1, 2, 3)
        for dtype in ("fp32", "bf16")
    ]


def page_of(*runs):
    frames = [frame_of(records) for records in runs]
    comparisons = [compare(frames[0], frame) for frame in frames[1:]]
    named = [PageRun(f"run-{n}.jsonl", records) for n, records in enumerate(runs)]
    return render_page(named, comparisons, version="0.0")


def test_a_run_has_its_sections_and_figures(make):
    page = Page(page_of(run_of(make, label="baseline")))

    titles = [attrs["id"] for tag, attrs in page.elements if tag == "h2"]
    assert titles[0] == "summary"
    assert {"roofline", "cases", "matrix", "environment"} <= set(titles)
    assert "6 of 6" in page.text
    assert "Some Processor 9000" in page.text
    assert "1.00 ms" in page.text
    assert "trnbench" in page.text


def test_a_difference_says_what_became_of_each_case(make):
    html = page_of(run_of(make), run_of(make, run="20261123T021733Z-4f2a9c", factor=5.0))
    page = Page(html)

    assert "Of 6 cases: 6 slower" in page.text
    assert page.text.count("▼ slower") >= 6
    assert "0.200" in page.text


def test_each_number_of_the_summary_has_a_unit_or_a_denominator(make):
    html = page_of(run_of(make))
    tiles = re.findall(r'<dd class="value[^"]*">([^<]+)</dd><dd class="note">([^<]+)', html)

    assert len(tiles) >= 2
    for value, note in tiles:
        assert re.search(r"%| of |s$|USD|unknown|×", value + note), (value, note)


def test_charts_are_pictures_with_words_and_a_table_beside_them(make):
    page = Page(page_of(run_of(make), run_of(make, run="b", factor=0.5)))
    pictures = [attrs for tag, attrs in page.elements if tag == "svg"]
    # A bar within a cell repeats the figure beside it.
    charts = [attrs for attrs in pictures if attrs.get("aria-hidden") != "true"]

    assert len(charts) >= 2
    for attrs in charts:
        assert attrs["role"] == "img"
        assert attrs.get("aria-label") or attrs.get("aria-labelledby")
    assert sum(tag == "details" for tag, _ in page.elements) >= len(charts)


def test_the_file_asks_for_nothing(make):
    html = page_of(run_of(make), run_of(make, run="b"))
    page = Page(html)

    for _, attrs in page.elements:
        for name, value in attrs.items():
            assert not name.startswith("on"), (name, value)
            if name in {"src", "href", "action", "xlink:href"}:
                assert value.startswith(("#", "data:")), (name, value)
    (policy,) = [
        attrs["content"]
        for tag, attrs in page.elements
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "@import" not in html
    assert "url(http" not in html


@pytest.mark.parametrize("hostile", HOSTILE)
def test_text_of_a_stranger_is_text(make, hostile):
    def spoil(value):
        if isinstance(value, dict):
            return {key: spoil(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [spoil(inner) for inner in value]
        return hostile if isinstance(value, str) else value

    def spoilt(record):
        row = record.model_dump(mode="json")
        kept = {
            "origin": row["origin"],
            "status": row["status"],
            "status_counts": row["status_counts"],
            "time": row["time"],
        }
        roofs = [{**spoil(roof), "ceiling": roof["ceiling"]} for roof in row["roofs"]]
        processes = [
            {**spoil(p), "status": p["status"], "failure": p["failure"] and spoil(p["failure"])}
            for p in row["processes"]
        ]
        return Record.model_validate({**spoil(row), **kept, "roofs": roofs, "processes": processes})

    failing = make.record(
        make.case(dtype="int8"),
        status=Status.COMPILE_ERROR,
        failure=Failure(kind="E", message="m", mend="mend"),
    )
    a = [spoilt(record) for record in [*run_of(make), failing][5:]]
    honest = Page(page_of([*run_of(make), failing][5:]))
    page = Page(page_of(a))

    # Not one element or attribute is there that an honest run's page doesn't have.
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in honest.elements}
    names = {name for _, attrs in page.elements for name in attrs}
    assert not [name for name in names if name.startswith("on")]
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert "49" not in {word for word in page.words if word.strip() == "49"}
    for sign in "\x1b\u202e":
        assert sign not in page.text


def test_runs_that_have_little_to_say_are_readable(make):
    failed = [make.record(status=Status.CRASHED), make.record(make.case(dtype="bf16"), roofs=[])]

    assert "no record" in Page(page_of([])).text
    assert "crashed" in Page(page_of(failed)).text.lower()
    simulated = [record.model_copy(update={"origin": "simulated"}) for record in run_of(make)]
    banners = [attrs for _, attrs in Page(page_of(simulated)).elements if attrs.get("role")]
    assert any(attrs.get("class") == "banner" for attrs in banners)


def test_a_large_run_stays_a_small_file(make):
    records = run_of(make)
    many = [
        record.model_copy(
            update={
                "case": record.case.model_copy(
                    update={"configuration": f"size-{n}", "params": {"m": n}}
                )
            }
        )
        for n in range(600)
        for record in records[:2]
    ]
    later = [record.model_copy(update={"run": "b"}) for record in many]
    html = page_of(many, later)

    assert len(html) < 3_000_000
    assert "500 of 1,200 cases" in Page(html).text


def test_without_its_packages_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match=r'pip install "trnbench\[report\]"'):
        require_extra()
