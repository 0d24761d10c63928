"""The report of a batch as one page of HTML that needs nothing beside it."""

from collections.abc import Iterable, Sequence

from functions.requester_api.plot import progress_svg
from functions.requester_api.schemas import BatchView, ProgressView
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.tasks.charts import safe_text
from smallpeck.tasks.import_store import ImportReport

_STYLE = (
    "body{font-family:sans-serif;max-width:45rem;margin:2rem auto;padding:0 1rem;line-height:1.4}"
    "table{border-collapse:collapse;margin:0 0 1.5rem}"
    "th,td{text-align:left;padding:.25rem .75rem;border-bottom:1px solid #cccccc;vertical-align:top}"
    "svg{max-width:100%;height:auto}"
)


def html_page(batch: BatchView, imported: ImportReport | None, seen: ProgressView, now_ms: int) -> str:
    """Import, progress and costs. Nothing that a requester or a file says is more than text in it."""
    title = safe_text(batch.title)
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en">',
            f'<head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>',
            "<body>",
            f"<h1>{title}</h1>",
            f"<p>Batch {safe_text(batch.batch_id)} is {safe_text(batch.state)}. As of {to_rfc3339(now_ms)}.</p>",
            "<h2>Progress</h2>",
            progress_svg(batch.title, seen),
            "<h2>Costs</h2>",
            _facts(_costs(batch, seen)),
            "<h2>Import</h2>",
            *_import(imported),
            "</body>",
            "</html>",
            "",
        )
    )


def _costs(batch: BatchView, seen: ProgressView) -> Iterable[tuple[str, str]]:
    currency = batch.currency
    yield "Price of an answer", f"{batch.price} {currency} ({batch.reward} to the worker, {batch.fee} fee)"
    yield "All answers", f"{batch.cost} {currency} for {seen.answers_paid_for}"
    yield "Spent so far", f"{seen.spent} {currency} for {seen.answers_approved}"
    yield "Comes back, as far as can be told", f"{seen.refund_expected} {currency}"
    median = seen.median_seconds
    yield "Time of an answer", "not known yet" if median is None else f"{median} seconds, in the median"
    yield "Expected end", seen.expected_end or "cannot be told"


def _import(report: ImportReport | None) -> Sequence[str]:
    if report is None:
        return ("<p>No file has arrived yet.</p>",)
    facts = [
        ("State", str(report.state)),
        ("Rows read", str(report.read)),
        ("Rows accepted", str(report.accepted)),
        ("Rows rejected", str(report.rejected)),
    ]
    if report.error_detail is not None:
        line = "" if report.error_line is None else f" (line {report.error_line})"
        facts.append(("Why it stopped", f"{report.error_code}: {report.error_detail}{line}"))
    if not report.sample:
        return (_facts(facts),)
    rows = ((str(one.line), str(one.reason), one.detail) for one in report.sample)
    return (_facts(facts), "<h3>The first rejected rows</h3>", _table(("Line", "Reason", "Detail"), rows))


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = (f'<tr><th scope="row">{safe_text(name)}</th><td>{safe_text(value)}</td></tr>' for name, value in facts)
    return f"<table>{''.join(rows)}</table>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    columns = "".join(f'<th scope="col">{safe_text(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{safe_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>"
