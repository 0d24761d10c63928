"""Whether the platform decided what `python -m smallpeck.consensus evaluate` makes of the very answers it was given."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from smallpeck.consensus.choice_kind import ChoiceKind
from smallpeck.consensus.evaluate import BatchEngine, Label, Setting

PPM = 1_000_000


def decided_otherwise(results: Iterable[Mapping[str, Any]], options: Sequence[str]) -> int:
    """How many tasks have another answer, or another confidence, than the engine gives when it is shown the answers
    in the results, task after task. The deployed platform got them side by side, some of them more than once.
    """
    rows = list(results)
    labels = [Label(row["row_id"], one["worker_id"], one["answer"]) for row in rows for one in row["answers"]]
    seats = {row["row_id"]: len(row["answers"]) for row in rows}
    engine = BatchEngine(ChoiceKind(), Setting(seats, options, {}, dynamic=False))
    for label in labels:
        engine.add(label)
    found = engine.finish()
    apart = 0
    for row in rows:
        expected = found.get(row["row_id"])
        answer, confidence = (None, 0.0) if expected is None else (expected.value, expected.confidence)
        apart += row["answer"] != answer or round(PPM * row["confidence"]) != round(PPM * confidence)
    return apart
