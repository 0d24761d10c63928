"""Results files: safe in a spreadsheet, exact in JSON Lines, the same every time."""

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from smallpeck.tasks.results import COLUMNS, CsvLines, TaskResult, chunks, csv_chunks, json_chunks


def result(number: int = 1, **facts: Any) -> TaskResult:
    defaults: dict[str, Any] = {
        "task_id": f"t{number}",
        "row_id": f"r{number}",
        "line": number + 1,
        "input": {"text": "a cat"},
        "answer": "cat",
        "confidence": 2 / 3,
        "tied": False,
        "status": "closed",
        "answers": [{"worker_id": "w1", "answer": "cat"}],
    }
    return TaskResult(**(defaults | facts))


def rows(results: list[TaskResult], **more: Any) -> list[list[str]]:
    text = b"".join(csv_chunks(results, **more)).decode()
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def test_csv_holds_one_line_a_task_in_the_given_order() -> None:
    header, first, second = rows([result(2), result(1, tied=True)], input_columns=["text", "missing"])
    assert header == [*COLUMNS, "input.text", "input.missing"]
    assert first == [
        "t2", "r2", "3", "closed", "cat", "0.666667", "false", '[{"worker_id":"w1","answer":"cat"}]', "a cat", "",
    ]  # fmt: skip
    assert (second[0], second[6]) == ("t1", "true")


def test_without_columns_the_input_stands_whole() -> None:
    header, first = rows([result(input={"a": [1, "é"]})])
    assert (header[-1], first[-1]) == ("input", '{"a":[1,"é"]}')


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_formula_is_escaped_in_csv_wherever_it_stands_and_never_in_json(text: str) -> None:
    formula = result(row_id=text, answer=text, input={text: text})
    header, first = rows([formula], input_columns=[text])
    assert (first[1], first[4], first[-1]) == ("'" + text,) * 3
    assert header[-1] == "input." + text
    (line,) = b"".join(json_chunks([formula])).decode().splitlines()
    assert json.loads(line)["answer"] == text


@pytest.mark.parametrize(
    ("answer", "cell"),
    [(None, ""), ("", ""), (-5, "-5"), (True, "true"), ({"a": "=x"}, '{"a":"=x"}'), ('a "b",\r\nc', 'a "b",\r\nc')],
)
def test_an_answer_is_one_cell(answer: object, cell: str) -> None:
    assert rows([result(answer=answer)])[1][4] == cell


def test_json_lines_hold_every_field() -> None:
    whole = result(parts=[0.5, 1.0], answered_at="2026-01-01T00:00:00.000Z")
    (line,) = b"".join(json_chunks([whole])).splitlines()
    assert json.loads(line) == vars(whole)


def test_confidences_of_parts_are_the_last_column_where_answers_have_parts() -> None:
    lines = CsvLines(["text"], with_parts=True)
    text = b"".join(chunks(lines, [result(parts=[0.5, 1.0]), result(2)])).decode()
    header, first, second = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert header == [*COLUMNS, "input.text", "parts"]
    assert (first[-2:], second[-1]) == (["a cat", "[0.5,1.0]"], "[]")


def test_without_results_csv_is_its_header_and_json_is_empty() -> None:
    assert rows([]) == [[*COLUMNS, "input"]]
    assert list(json_chunks([])) == []


@pytest.mark.parametrize("write", [csv_chunks, json_chunks])
def test_memory_does_not_grow_with_the_results(write: Any) -> None:
    def peak(count: int) -> int:
        many: Iterator[TaskResult] = (result(number) for number in range(count))
        tracemalloc.start()
        sizes = [len(chunk) for chunk in write(many)]
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert max(sizes) < 2 * 64 * 1024
        return most

    peak(500)
    assert peak(6_000) < 1.5 * peak(1_500)
