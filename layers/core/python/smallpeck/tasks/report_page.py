"""The quality report of a batch as one page of HTML: no script, nothing beside it, readable on a phone and aloud."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from smallpeck.tasks.charts import STYLE, Bar, Estimate, Named, columns, dots_and_whiskers, reliability, safe_text
from smallpeck.tasks.publishing import ResultFiles
from smallpeck.tasks.reporting import REPORT_FORMS, REPORT_TYPES, report_key

WORKERS_SHOWN: Final = 200
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_PAGE_STYLE: Final = (
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',"
    "Roboto,sans-serif;overflow-wrap:anywhere}"
    "main{max-width:70rem;margin:0 auto;padding:1.5rem 1rem 3rem}"
    "header p,.note,footer{color:var(--soft);font-size:.875rem}"
    "h1{font-size:1.6rem;line-height:1.2;margin:.1rem 0 .4rem}h2{font-size:1.05rem;margin:0 0 .15rem}"
    ".kicker{margin:0;letter-spacing:.06em;text-transform:uppercase;font-size:.75rem}"
    ".lead{font-size:1.05rem;max-width:44rem}"
    ".figures,.cards{display:grid;gap:1rem;margin:1rem 0}"
    ".figures{grid-template-columns:repeat(auto-fit,minmax(min(100%,9rem),1fr));padding:0}"
    ".cards{grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));align-items:start}"
    ".figure,.card{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1rem;min-width:0}"
    ".figure dt{color:var(--soft);font-size:.85rem}.figure dd{margin:0}"
    ".figure .big{font-size:1.55rem;font-weight:650;line-height:1.25;font-variant-numeric:tabular-nums}"
    ".card figure{margin:.6rem 0}.note{margin:0}.wide{grid-column:1/-1}"
    "details{border-top:1px solid var(--line);padding-top:.5rem}"
    "summary{cursor:pointer;color:var(--soft);font-size:.875rem}"
    ".scroll{overflow:auto;max-height:30rem;margin-top:.5rem;overflow-wrap:break-word}"
    "table{border-collapse:collapse;width:100%;font-size:.875rem;font-variant-numeric:tabular-nums}"
    "th,td{text-align:left;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}"
    "th{font-weight:500}thead th{color:var(--soft);white-space:nowrap;position:sticky;top:0;background:var(--card)}"
    ".id{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.8rem}"
    ".share{display:block;width:6rem;height:.35rem;border-radius:.2rem;background:var(--pale);margin-top:.2rem}"
    ".share i{display:block;height:100%;border-radius:.2rem;background:var(--main)}"
    "@media print{.scroll{max-height:none}.card,.figure{break-inside:avoid}}"
)
_NOTHING: Final = "\u2013"
_Rows = Iterable[Sequence[str]]


def page(report: Mapping[str, Any]) -> str:
    """The page of a report (`smallpeck.tasks.reporting.report`). Nothing in the report is more than text in it."""
    batch = report["batch"]
    title = safe_text(batch["title"])
    cards = (
        _confidence(report),
        _answers(report),
        _calibration(report),
        _workers(report),
        _options(report),
        _most_disputed(report),
    )
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>Quality of {title}</title>",
            f"<style>{STYLE}{_PAGE_STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            *_heading(report, title),
            '<dl class="figures">',
            *(_figure(*one) for one in _figures(report)),
            "</dl>",
            '<div class="cards">',
            *filter(None, cards),
            "</div>",
            *_footer(report),
            "</main>",
            "</body>",
            "</html>",
            "",
        )
    )


def write_report(*, batch_id: str, report: Mapping[str, Any], files: ResultFiles) -> None:
    """Writes the report in every form, in place of an earlier one."""
    texts = {"html": page(report), "json": json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False) + "\n"}
    for form in REPORT_FORMS:
        writer = files.writer(report_key(batch_id, form), REPORT_TYPES[form])
        try:
            writer.write(texts[form].encode())
            writer.close()
        except BaseException:
            writer.abandon()
            raise


def _heading(report: Mapping[str, Any], title: str) -> Sequence[str]:
    batch, tasks, answers = report["batch"], report["tasks"], report["answers"]
    told = f"{_many(tasks['total'], 'task')} got {_many(answers['used'], 'answer')}"
    if answers["per_task"] is not None:
        told += f", {answers['per_task']:.2f} each"
    if answers["fixed_overlap"]:
        told += (
            f". Asking for {batch['max_answers']} every time would have taken {answers['fixed_overlap']:,} "
            f"for the {_many(tasks['complete'], 'task')} that their answers decided"
        )
    left = tasks["total"] - tasks["complete"]
    if left:
        told += f". The batch ended before {_many(left, 'task')} could be decided by all the answers wanted"
    which = f"{batch['kind']} · method {batch['method']} · {batch['batch_id']}"
    when = f" · published {batch['published_at'][:16].replace('T', ' ')} UTC" if batch["published_at"] else ""
    return (
        "<header>",
        '<p class="kicker">Quality report</p>',
        f"<h1>{title}</h1>",
        f"<p>{safe_text(which + when)}</p>",
        f'<p class="lead">{safe_text(told)}.</p>',
        "</header>",
    )


def _figures(report: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    accuracy, answers, cost = report["accuracy"], report["answers"], report["cost"]
    results = accuracy["control_results"]
    if results is not None:
        told = f"{_between(results['interval'])} with {results['level']:.0%} certainty"
        yield "Right on control tasks", _percent(results["accuracy"]), f"{told}, {_many(results['count'], 'task')}"
    expected = "by the results' own confidence"
    yield "Expected to be right", _percent(accuracy["expected"]), expected
    saved = f"{answers['saved']:,} fewer than {report['batch']['max_answers']} a task"
    yield "Answers saved", _percent(answers["saved_share"]), saved
    spent = f"not spent on them; {cost['spent']} spent"
    yield f"Saved, {cost['currency']}", cost["saved"], spent
    agreed = f"with the result, over {_many(report['agreement']['answers'], 'answer')}"
    yield "Answers agree", _percent(report["agreement"]["mean"]), agreed
    single = accuracy["control_answers"]
    if single is not None:
        told = f"on control tasks, {_between(single['interval'])}, {_many(single['count'], 'answer')}"
        yield "A single answer is right", _percent(single["accuracy"]), told


def _confidence(report: Mapping[str, Any]) -> str:
    bins = report["confidence"]["bins"]
    rows = [(_between((one["from"], one["to"])), f"{one['tasks']:,}") for one in bins]
    bars = [
        Bar(f"{one['from']:.0%}", one["tasks"], f"{_many(one['tasks'], 'task')}: {between}")
        for one, (between, _) in zip(bins, rows, strict=True)
    ]
    mean, disputed = report["accuracy"]["expected"], report["tasks"]["disputed"]
    told = f"Tasks by the confidence of their result; {_percent(mean)} in the mean, {disputed:,} in dispute."
    chart = columns(
        Named("confidence", "How sure the results are", told), bars, across="confidence", up="tasks", end="100%"
    )
    return _card("How sure the results are", told, chart, _table(("Confidence", "Tasks"), rows))


def _answers(report: Mapping[str, Any]) -> str:
    found = report["answers"]["by_task"]
    bars = [Bar(str(one["answers"]), one["tasks"], _needed(one)) for one in _gaps_filled(found)]
    rows = [(str(one["answers"]), f"{one['tasks']:,}") for one in found]
    told = "Tasks by how many answers they took. Easy ones close early, hard ones are asked about again."
    chart = columns(Named("answers", "Answers per task", told), bars, across="answers", up="tasks")
    return _card("Answers per task", told, chart, _table(("Answers", "Tasks"), rows))


def _calibration(report: Mapping[str, Any]) -> str:
    found = report["calibration"]
    if found is None:
        told = "Without control tasks nobody can say how often results of some confidence are right."
        return _card("Is the confidence honest?", told, "", "")
    bins = [one for one in found["bins"] if one["tasks"]]
    most = max(one["tasks"] for one in bins)
    points = [
        _estimate(
            one["right"],
            one["interval"],
            f"{_many(one['tasks'], 'task')}, {_percent(one['confidence'])} sure: {_percent(one['right'])} right",
            place=one["confidence"],
            weight=one["tasks"] / most,
        )
        for one in bins
    ]
    rows = [
        (f"{one['tasks']:,}", _percent(one["confidence"]), _percent(one["right"]), _between(one["interval"]))
        for one in bins
    ]
    told = (
        f"How often the answers alone, as they came in, gave control tasks the right result, by confidence. "
        f"On the line, confidence is honest; it is {found['error'] * 100:.1f} points off in the mean."
    )
    title = "Is the confidence honest?"
    chart = reliability(Named("calibration", title, told), points, across="confidence", up="right")
    return _card(title, told, chart, _table(("Control tasks", "Confidence", "Right", "95% interval"), rows))


def _workers(report: Mapping[str, Any]) -> str:
    found = report["workers"][:WORKERS_SHOWN]
    if not found:
        return ""
    level = f"{report['worker_interval']:.0%}"
    ranked = sorted(found, key=lambda one: (-one["accuracy"], one["worker_id"]))
    points = [
        _estimate(
            one["accuracy"],
            one["interval"],
            f"{one['worker_id']}: {_percent(one['accuracy'])} ({_between(one['interval'])}), "
            f"{_many(one['answers'], 'answer')}",
        )
        for one in ranked
    ]
    mean = sum(one["accuracy"] * one["answers"] for one in found) / max(1, sum(one["answers"] for one in found))
    all_of_them = len(report["workers"])
    who = _many(all_of_them, "worker")
    if all_of_them > len(found):
        who = f"the {len(found)} most active of {who}"
    told = f"Estimated accuracy of {who}, the best first, each with its {level} interval. The mean is by answers."
    named = Named("workers", "How good the workers are", told)
    chart = dots_and_whiskers(named, points, mean=mean, across="workers, the best first", up="accuracy")
    rows = [
        (
            _id(one["worker_id"]),
            f"{one['answers']:,}",
            _meter(one["accuracy"]),
            _between(one["interval"]),
            _percent(one["agreement"]),
            f"{_percent(one['control_accuracy'])} of {one['control_answers']:,}"
            if one["control_answers"]
            else _NOTHING,
        )
        for one in found
    ]
    head = ("Worker", "Answers", "Accuracy", f"{level} interval", "Agreement", "Right on controls")
    return _card(named.title, told, chart, _table(head, rows, safe=True))


def _options(report: Mapping[str, Any]) -> str:
    found = report["options"]
    if not found:
        return ""
    results, given = (max(1, sum(one[name] for one in found)) for name in ("results", "answers"))
    rows = [
        (
            safe_text(one["option"]),
            f"{one['results']:,} {_meter(one['results'] / results)}",
            f"{one['answers']:,} {_meter(one['answers'] / given)}",
        )
        for one in found
    ]
    told = "How often each option stands in a result and in the answers."
    return _card("What was answered", told, "", "", _table(("Option", "Results", "Answers"), rows, safe=True))


def _most_disputed(report: Mapping[str, Any]) -> str:
    found = report["most_disputed"]
    if not found:
        return ""
    rows = [
        (
            _NOTHING if one["row_id"] is None else safe_text(one["row_id"]),
            _id(one["task_id"]),
            _meter(one["confidence"]),
            str(one["answers"]),
            _percent(one["agreement"]),
            "yes" if one["tied"] else "no",
        )
        for one in found
    ]
    told = "The results with the least confidence. A look at them shows what the instructions leave open."
    head = ("Row", "Task", "Confidence", "Answers", "Agreement", "Tied")
    return _card("Most disputed tasks", told, "", "", _table(head, rows, safe=True), wide=True)


def _footer(report: Mapping[str, Any]) -> Sequence[str]:
    batch, cost = report["batch"], report["cost"]
    target = batch["target_confidence"]
    asked = f"{batch['min_answers']} to {batch['max_answers']} answers a task"
    sure = "" if target is None else f", target confidence {_percent(target)}"
    controls = ""
    if report["tasks"]["control"]:
        many = _many(report["answers"]["control"], "answer")
        controls = f" {many} to {_many(report['tasks']['control'], 'control task')} cost {cost['control']} of that."
    told = f"Asked for: {asked}{sure}, at {batch['price']} {cost['currency']} each; {cost['spent']} spent.{controls}"
    return (f"<footer><p>{safe_text(told)}</p></footer>",)


def _estimate(share: float, ends: Sequence[float], told: str, *, place: float = 0.0, weight: float = 0.5) -> Estimate:
    low, high = ends
    return Estimate(place, share, low, high, told, weight)


def _figure(name: str, value: str, told: str) -> str:
    said = f'<dd class="note">{safe_text(told)}</dd>' if told else ""
    return f'<div class="figure"><dt>{safe_text(name)}</dt><dd class="big">{safe_text(value)}</dd>{said}</div>'


def _card(title: str, told: str, chart: str, table: str, shown: str = "", *, wide: bool = False) -> str:
    return "\n".join(
        filter(
            None,
            (
                f'<section class="card{" wide" if wide else ""}">',
                f"<h2>{safe_text(title)}</h2>",
                f'<p class="note">{safe_text(told)}</p>',
                chart and f"<figure>{chart}</figure>",
                shown and _scrolled(title, shown),
                table and f"<details><summary>The same as a table</summary>{_scrolled(title, table)}</details>",
                "</section>",
            ),
        )
    )


def _table(head: Sequence[str], rows: _Rows, *, safe: bool = False) -> str:
    """A table; the first cell of a row is its heading. `safe`: the cells are markup already."""
    columns_ = "".join(f'<th scope="col">{safe_text(name)}</th>' for name in head)
    body = []
    for row in rows:
        first, *rest = row if safe else map(safe_text, row)
        body.append(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>')
    return f"<table><thead><tr>{columns_}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _scrolled(title: str, table: str) -> str:
    return f'<div class="scroll" role="region" aria-label="{safe_text(title)}" tabindex="0">{table}</div>'


def _id(text: str) -> str:
    return f'<span class="id">{safe_text(text)}</span>'


def _meter(share: float) -> str:
    return f'{_percent(share)}<span class="share"><i style="width:{share:.1%}"></i></span>'


def _gaps_filled(found: Sequence[Mapping[str, int]]) -> list[dict[str, int]]:
    """The columns from none or one answer to the most, also of those that no task took."""
    tasks = {one["answers"]: one["tasks"] for one in found}
    first = min(tasks, default=1)
    return [{"answers": many, "tasks": tasks.get(many, 0)} for many in range(min(first, 1), max(tasks, default=0) + 1)]


def _needed(one: Mapping[str, int]) -> str:
    return f"{_many(one['tasks'], 'task')} took {_many(one['answers'], 'answer')}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _percent(share: float | None) -> str:
    return _NOTHING if share is None else f"{share * 100:.1f}%"


def _between(ends: Sequence[float]) -> str:
    low, high = ends
    return f"{low * 100:.0f}\u2013{high * 100:.0f}%"
