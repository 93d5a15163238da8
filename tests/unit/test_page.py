"""The page as text: what it says, and that nothing in a record is more than text to it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from trnbench.bench.errors import UsageError
from trnbench.bench.report import run_report_command
from trnbench.results.compare import compare
from trnbench.results.frame import frame_of
from trnbench.results.page import PageRun, render_page, require_extra
from trnbench.results.page.document import MissingExtraError
from trnbench.results.page.runs import titles
from trnbench.results.page.speedup import format_interval, invert
from trnbench.results.page.svg import DrawingError, embed
from trnbench.results.page.text import shorten
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


def test_a_chart_with_intervals_keeps_its_legend(make):
    html = page_of(run_of(make), run_of(make, run="b", factor=0.5))
    chart = html.split('id="speedup-1"')[1].split("</svg>")[0]

    assert re.findall(r">(measured|expected by specification)</text>", chart) == [
        "measured",
        "expected by specification",
    ]
    # A mark for each case measured, one for each expected; whiskers are no marks.
    assert chart.count("times as fast (") == 6
    assert chart.count("times as fast by specification") == 6


def test_the_ends_of_an_interval_change_places_with_the_ratio():
    assert invert(0.5) == 2.0
    assert invert(None) is None
    assert format_interval(0.25, 0.5) == "2.00 to 4.00"
    assert format_interval(None, 0.5) == ""


@pytest.mark.parametrize(
    ("factor", "wanted"), [(1.0, "nothing decided"), (0.2, "6 faster"), (5.0, "6 slower")]
)
def test_what_is_undecided_is_not_called_equal(make, factor, wanted):
    noisy = tuple(median * spread for median, spread in zip(QUIET, (1.0, 1.3, 0.7), strict=True))
    medians = noisy if factor == 1.0 else tuple(median * factor for median in QUIET)
    second = [
        make.record(record.case, medians=tuple(n * m for m in medians), run="b")
        for n, record in zip((1, 1, 2, 2, 3, 3), run_of(make), strict=True)
    ]
    html = page_of(run_of(make), second)

    (value,) = re.findall(r"b: verdicts</dt><dd class=\"value[^\"]*\">([^<]+)<", html)
    assert value == wanted


def test_runs_of_one_title_are_told_apart(make):
    first, second = run_of(make, label="same"), run_of(make, run="b", label="same")

    assert titles([PageRun("a.jsonl", first), PageRun("b.jsonl", second)]) == [
        "same (A)",
        "same (B)",
    ]


@pytest.mark.parametrize(
    "drawn",
    [
        "<script>alert(1)</script>",
        "<a href='http://example.com'><text>x</text></a>",
        "<image href='http://example.com/x.png'/>",
        "<rect fill='url(#x)'/>",
        "<style>@import 'http://example.com'</style>",
        "<foreignObject><p>x</p></foreignObject>",
    ],
)
def test_a_drawing_that_holds_more_than_shapes_is_refused(drawn):
    with pytest.raises(DrawingError):
        embed(f"<svg xmlns='http://www.w3.org/2000/svg'>{drawn}</svg>", "title", "description")


def test_what_a_drawing_may_not_say_is_left_out():
    drawn = embed(
        "<svg xmlns='http://www.w3.org/2000/svg'><path d='M0,0' fill='#010001' onclick='x()' "
        "style='x' href='y' role='graphics-symbol' aria-label='&lt;b&gt;'/></svg>",
        '"><script>',
        "what it shows",
    )

    assert "onclick" not in drawn
    assert "style" not in drawn
    assert "href" not in drawn
    assert "<script>" not in drawn
    assert "<title>&lt;b&gt;</title>" in drawn
    assert 'class="f-ink mark"' in drawn


def test_a_long_name_keeps_both_its_ends():
    assert shorten("matmul square-512", 44) == "matmul square-512"
    short = shorten(f"matmul {'x' * 80} bf16", 20)
    assert len(short) == 20
    assert short.startswith("matmul")
    assert short.endswith(" bf16")


@pytest.mark.parametrize(
    ("names", "page", "wanted"),
    [
        ([], "page.html", "at least one"),
        (["x"], "page.pdf", "ends in .html"),
        (["x"], "nowhere/page.html", "folder that exists"),
    ],
)
def test_a_page_that_cannot_be_written_says_why(tmp_path, names, page, wanted):
    with pytest.raises(UsageError, match=wanted):
        run_report_command(names, tmp_path, tmp_path / page)

    assert list(tmp_path.iterdir()) == []
