"""python -m smallpeck.consensus evaluate --kind choice --labels F --gold F --mode all|dynamic"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from smallpeck.consensus.evaluate import DEFAULT_SEED, KINDS, evaluate


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate as asked and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m smallpeck.consensus")
    command = parser.add_subparsers(dest="command", required=True).add_parser(
        "evaluate", help="replay a file of labels through the engine and score its decisions"
    )
    command.add_argument("--kind", choices=sorted(KINDS), required=True)
    command.add_argument("--labels", type=Path, required=True, help="CSV: task,worker,label")
    command.add_argument("--gold", type=Path, required=True, help="CSV: task,label")
    command.add_argument("--mode", choices=("all", "dynamic"), required=True)
    command.add_argument("--seed", type=int, default=DEFAULT_SEED)
    command.add_argument("--target-confidence", type=_share, default=None, metavar="P")
    command.add_argument("--controls", type=_share, default=0.0, metavar="SHARE")
    command.add_argument("--max-answers", type=int, default=None, metavar="N", help="no more labels of a task than N")
    asked = parser.parse_args(arguments)
    run = evaluate(
        kind=asked.kind,
        labels=asked.labels,
        gold=asked.gold,
        mode=asked.mode,
        seed=asked.seed,
        target_confidence=asked.target_confidence,
        controls=asked.controls,
        max_answers=asked.max_answers,
    )
    sys.stdout.write(json.dumps(run.report) + "\n")
    return 0


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
