"""The page in a real browser, opened from the file system with the network off."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys

import pytest

BROWSER = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
NEEDED = ("playwright", "axe_playwright_python", "altair", "vl_convert", "jinja2")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome here"),
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in NEEDED),
        reason=f"not all of {', '.join(NEEDED)} are installed",
    ),
]
HOSTILE = "</script><script>window.hit=1</script><img src=x onerror='window.hit=1'>"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


def trnbench(*arguments, cwd, check=True):
    return subprocess.run(
        [sys.executable, "-m", "trnbench", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=check,
        timeout=300,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A real run, and one whose every name is a stranger's and whose times are three times as
    long."""
    folder = tmp_path_factory.mktemp("runs")
    measure = ("--processes", "2", "--budget", "0.05", "--threads", "1", "--out", folder)
    # Of a case that isn't steady in so little time this leaves with 1.
    trnbench("run", "softmax", "matmul[square-512", "norm", *measure, cwd=folder, check=False)
    (first,) = folder.glob("*.jsonl")
    second = folder / "20991231T000000Z-aaaaaa.jsonl"
    with second.open("w") as stream:
        for line in first.read_text().splitlines():
            row = json.loads(line)
            row |= {"run": second.stem, "label": HOSTILE, "source": HOSTILE}
            row["case"]["configuration"] += HOSTILE
            row["environment"]["versions"][HOSTILE] = HOSTILE
            row["device"]["name"] = HOSTILE
            for estimate in (row["summary"] or {}).values():
                if isinstance(estimate, dict) and estimate.get("value"):
                    for name in ("value", "low", "high"):
                        estimate[name] = estimate[name] and 3 * estimate[name]
            stream.write(json.dumps(row) + "\n")
    write_history(folder / "history", second)
    return folder, first, second


def write_history(folder, run):
    """Runs of the same, each a day later, a tenth slower from the twelfth on."""
    folder.mkdir()
    rows = [json.loads(line) for line in run.read_text().splitlines()]
    for number in range(24):
        name = f"202609{number + 1:02d}T000000Z-{number:06x}"
        factor = (1.1 if number >= 12 else 1.0) * (1 + 0.001 * (number % 5))
        with (folder / f"{name}.jsonl").open("w") as stream:
            for row in rows:
                summary = dict(row["summary"] or {})
                for regime in ("sustained", "isolated"):
                    if summary.get(regime):
                        estimate = summary[regime]
                        changed = {k: v and v * factor for k, v in estimate.items()}
                        summary[regime] = changed
                time = f"2026-09-{number + 1:02d}T00:00:00Z"
                changed = row | {"run": name, "time": time, "summary": summary or None}
                stream.write(json.dumps(changed) + "\n")


@pytest.fixture(scope="module")
def report(runs):
    folder, first, second = runs
    more = ("--history", folder / "history", "-o", folder / "report.html")
    trnbench("report", first, second, *more, cwd=folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, report):
    """Opens the page; whatever it asks for, says or does is kept, and must be nothing."""
    contexts, asked, said = [], [], []

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append((message.type, message.text)))
        page.on("pageerror", lambda error: said.append(("error", str(error))))
        page.on("dialog", lambda dialog: said.append(("dialog", dialog.message)))
        page.goto(report.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    # An icon that is data is one too.
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()] * len(
        contexts
    )
    assert said == []


def test_charts_are_drawn_and_nothing_is_asked_for(opened, runs):
    page = opened()
    # How many of the cases this machine can measure in so little time is its own affair.
    ok = [line for line in runs[2].read_text().splitlines() if json.loads(line)["status"] == "OK"]

    charts = page.locator("figure.chart svg[role=img]")
    assert charts.count() >= 2
    slower = page.locator("section[aria-labelledby=history] figure.chart svg .mark").count()
    assert slower >= min(len(ok), 9)
    assert slower > 0
    for chart in charts.all():
        box = chart.bounding_box()
        assert box["width"] > 300
        assert box["height"] > 60
    points = page.locator("figure.chart svg .mark")
    assert points.count() >= 5


def test_a_stranger_s_text_does_nothing(opened):
    page = opened()

    assert page.evaluate("window.hit") is None
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1
    assert HOSTILE.split("<script>")[1][:10] in page.inner_text("main")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_stands_in_the_way_of_a_screen_reader(opened, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(color_scheme=scheme, viewport={"width": width, "height": 900})
    found = Axe().run(page).response["violations"]

    grave = [
        (one["id"], one["impact"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]
    assert grave == []


def test_a_phone_needs_no_scrolling_sideways(opened):
    page = opened(viewport={"width": 360, "height": 800})

    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_table_is_filtered_and_sorted_by_keyboard(opened):
    page = opened()
    table = page.locator("table:has(#differences-1)")
    rows = table.locator("tbody tr:visible")
    before = rows.count()
    assert before >= 3

    box = page.locator(".table-block:has(#differences-1) input[type=search]")
    box.focus()
    page.keyboard.type("softmax")
    page.wait_for_function(
        "n => [...document.querySelectorAll('table:has(#differences-1) tbody tr')]"
        ".filter(row => row.offsetParent).length < n",
        arg=before,
    )
    assert 0 < rows.count() < before
    assert all("softmax" in row.inner_text() for row in rows.all())
    box.fill("")

    heading = table.locator("thead th", has_text="speed-up")
    column = heading.evaluate("heading => heading.cellIndex")

    def speedups():
        cells = [row.locator("th, td").nth(column) for row in rows.all()]
        keys = [cell.get_attribute("data-sort") for cell in cells]
        return [float(key) for key in keys if key is not None]

    heading.locator("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    rising = speedups()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert len(rising) >= 3
    assert rising == sorted(rising)
    assert speedups() == rising[::-1]


def test_it_reads_without_its_script(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())

    assert page.locator("table:has(#differences-1) tbody tr").count() >= 3
    context.close()


def test_it_prints(opened):
    page = opened()

    assert page.pdf(format="A4")[:5] == b"%PDF-"
