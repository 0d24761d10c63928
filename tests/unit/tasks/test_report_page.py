"""The quality report as a page: whole by itself, readable by everybody, and nothing in it but text."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from smallpeck.tasks.charts import Bar, Named, columns
from smallpeck.tasks.model import Result
from smallpeck.tasks.report_counts import ReportCounts, WorkerCounts
from smallpeck.tasks.report_page import WORKERS_SHOWN, page, write_report
from smallpeck.tasks.reporting import WorkerSkill, report
from tests.unit.tasks.reported_batch import BATCH, TASKS, reported, task

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</title></style></svg><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u0001 & {{1}}"


class Page(HTMLParser):
    """The tags, attributes and text of a page; every tag that is opened has to be closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"

    @property
    def charts(self) -> list[ET.Element]:
        """Its images, as XML."""
        return [ET.fromstring(one) for one in re.findall(r"<svg.*?</svg>", self.source, re.DOTALL)]  # noqa: S314

    def after(self, word: str) -> str:
        """The piece of text that follows another."""
        words = [line.strip() for line in self.text.splitlines() if line.strip()]
        return words[words.index(word) + 1]


def shown(**changed: Any) -> Page:
    return Page(page(reported(batch=replace(BATCH, **changed))))


def hostile() -> dict[str, Any]:
    """A report in which everything that anybody may write is hostile."""
    schema = json.dumps({"enum": [HOSTILE, "dog"]})
    tasks = (*TASKS, task(HOSTILE, [HOSTILE, "dog"], Result(json.dumps(HOSTILE), 400_000, tied=False)))
    found = reported(tasks, replace(BATCH, title=HOSTILE, answer_schema=schema, kind=HOSTILE))
    found["most_disputed"][0]["row_id"] = HOSTILE
    found["workers"][0]["worker_id"] = HOSTILE
    return found


def test_the_figures_stand_on_the_page() -> None:
    seen = shown()
    assert seen.after("Right on control tasks") == "50.0%"
    assert seen.after("Expected to be right") == "72.2%"
    assert seen.after("Answers saved") == "16.7%"
    assert seen.after("Saved, USD") == "0.05"
    assert seen.after("Answers agree") == "71.4%"
    assert seen.after("A single answer is right") == "50.0%"
    for words in ("4 tasks got 7 answers, 1.75 each", "before 2 tasks could be decided", "row-t2", "0.65 spent"):
        assert words in seen.text


def test_the_page_needs_nothing_beside_it_and_runs_nothing() -> None:
    seen = shown()
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    assert ("meta", "content", policy) in seen.attributes
    assert not {"script", "link", "img", "iframe", "form", "a", "object", "base"} & set(seen.tags)
    fetching = {"src", "href", "xlink:href", "action", "srcset", "data", "formaction"}
    assert not [one for one in seen.attributes if one[1] in fetching or one[1].startswith("on")]
    bare = seen.source.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|//|url\(|@import", bare)


def test_what_anybody_writes_stays_text() -> None:
    found = hostile()
    seen = Page(page(found))
    assert set(seen.tags) <= {
        "html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section", "h1", "h2", "p", "dl",
        "div", "dt", "dd", "figure", "svg", "desc", "rect", "line", "circle", "text", "details", "summary", "table",
        "thead", "tbody", "tr", "th", "td", "span", "i",
    }  # fmt: skip
    assert not [name for _, name, _ in seen.attributes if name.startswith("on") or name == "src"]
    assert "<script" not in seen.source
    assert "<img" not in seen.source
    as_text = HOSTILE.replace("\u0001", "\ufffd")
    # Title, heading, kind, row, task, option and worker: each tells what was written, and no more.
    assert seen.text.count(as_text) >= 7
    assert len(seen.charts) == len(Page(page(reported())).charts)


def test_charts_are_images_that_can_be_read_aloud_and_as_tables() -> None:
    seen = shown()
    assert len(seen.charts) == 4
    for chart in seen.charts:
        named = {one.get("id"): one.text or "" for one in chart}
        assert chart.get("role") == "img"
        assert all(named[name] for name in (chart.get("aria-labelledby") or "").split())
    names = [value for _, name, value in seen.attributes if name == "id"]
    assert len(set(names)) == len(names)
    assert seen.tags.count("details") == len(seen.charts)


def test_the_page_fits_a_phone_and_the_dark() -> None:
    seen = shown()
    assert ("meta", "content", "width=device-width, initial-scale=1") in seen.attributes
    assert "prefers-color-scheme:dark" in seen.source
    assert not re.search(r'(?:fill|stroke)="', seen.source)
    for chart in seen.charts:
        wide, high = (float(one) for one in (chart.get("viewBox") or "").split()[2:])
        for one in chart.iter():
            for name, most in {
                "x": wide,
                "x1": wide,
                "x2": wide,
                "cx": wide,
                "y": high,
                "y1": high,
                "cy": high,
            }.items():
                assert 0 <= float(one.get(name, 0)) <= most


def test_a_batch_without_control_tasks_says_that_nobody_can_tell() -> None:
    seen = Page(page(reported(TASKS[:4])))
    assert "Right on control tasks" not in seen.text
    assert "Without control tasks nobody can say" in seen.text
    assert len(seen.charts) == 3


def test_a_batch_that_nobody_answered_has_a_page() -> None:
    seen = Page(page(reported([task("t0", [], Result(None, 0, tied=False))])))
    assert seen.after("Answers saved") == "\u2013"
    assert "Most disputed" not in seen.text


def test_the_page_shows_the_most_active_workers_and_the_document_all() -> None:
    workers = [WorkerSkill(f"w{n}", WorkerCounts(answers=n + 1), 800_000, 700_000, 900_000) for n in range(250)]
    found = report(batch=BATCH, counts=ReportCounts(), workers=workers)
    assert len(found["workers"]) == 250
    seen = Page(page(found))
    (chart,) = [one for one in seen.charts if "workers-title" in (one.get("aria-labelledby") or "")]
    assert len(list(chart.iter(f"{SVG}circle"))) == WORKERS_SHOWN
    assert "the 200 most active of 250 workers" in seen.text
    assert ">w49<" not in seen.source
    assert ">w50<" in seen.source


@pytest.mark.parametrize("most", [0, 1, 3, 5, 9, 10, 11, 99, 100, 101, 4_999, 10_000_000])
def test_columns_fill_their_chart_and_stay_inside(most: int) -> None:
    drawn = columns(Named("a", "A", "a"), [Bar("x", most, "x"), Bar("y", most // 2, "y")], across="x", up="y")
    chart = ET.fromstring(drawn)  # noqa: S314
    heights = [float(one.get("height") or 0) for one in chart.iter(f"{SVG}rect")]
    if most:
        assert 0 < max(heights) <= 162
    if most > 3:
        assert max(heights) > 80


class Files:
    """Files that are kept in memory."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.written: dict[str, tuple[str, bytes]] = {}
        self.abandoned: list[str] = []

    def writer(self, key: str, content_type: str, /) -> "File":
        return File(self, key, content_type)


class File:
    def __init__(self, files: Files, key: str, content_type: str) -> None:
        self.files, self.key, self.content_type, self.body = files, key, content_type, b""

    def write(self, body: bytes) -> None:
        self.body += body

    def close(self) -> None:
        if self.key.endswith(self.files.fails or "never"):
            raise OSError("the disk is full")
        self.files.written[self.key] = (self.content_type, self.body)

    def abandon(self) -> None:
        self.files.abandoned.append(self.key)


def test_the_report_is_written_as_a_page_and_as_json() -> None:
    files, found = Files(), reported()
    write_report(batch_id="b1", report=found, files=files)
    assert {key: kind for key, (kind, _) in files.written.items()} == {
        "results/b1/report.html": "text/html; charset=utf-8",
        "results/b1/report.json": "application/json",
    }
    assert json.loads(files.written["results/b1/report.json"][1]) == found
    assert files.written["results/b1/report.html"][1].decode() == page(found)


def test_a_file_that_cannot_be_written_is_given_up() -> None:
    files = Files(fails="report.json")
    with pytest.raises(OSError, match="full"):
        write_report(batch_id="b1", report=reported(), files=files)
    assert files.abandoned == ["results/b1/report.json"]


def test_workers_are_drawn_the_best_first_each_at_their_accuracy_within_their_interval() -> None:
    shares = [500_000, 900_000, 700_000]
    workers = [
        WorkerSkill(f"w{n}", WorkerCounts(1), share, share - 100_000, share + 50_000) for n, share in enumerate(shares)
    ]
    seen = Page(page(report(batch=BATCH, counts=ReportCounts(), workers=workers)))
    (chart,) = [one for one in seen.charts if "workers-title" in (one.get("aria-labelledby") or "")]
    levels = {(one.text or ""): float(one.get("y") or 0) - 4 for one in chart.iter(f"{SVG}text")}
    low, high = levels["0%"], levels["100%"]
    dots = [(low - float(one.get("cy") or 0)) / (low - high) for one in chart.iter(f"{SVG}circle")]
    assert dots == pytest.approx([0.9, 0.7, 0.5], abs=0.002)
    lines = [one for one in chart.iter(f"{SVG}line") if one.get("class") == "whisker"]
    ends = [(low - float(one.get(name) or 0)) / (low - high) for one in lines for name in ("y1", "y2")]
    assert ends == pytest.approx([0.8, 0.95, 0.6, 0.75, 0.4, 0.55], abs=0.002)
