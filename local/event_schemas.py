"""JSON Schemas of the messages between parts, from the models that read them.

`python -m local.event_schemas` writes events/schemas/, with `--check` it fails where a file is not what the code says.
"""

import argparse
import json
import sys

from pydantic import BaseModel

from functions.grader.schemas import PageSubmitted
from local.paths import ROOT

MESSAGES: dict[str, type[BaseModel]] = {"page_submitted": PageSubmitted}
FOLDER = ROOT / "events" / "schemas"


def schemas() -> dict[str, str]:
    """The text of every schema file by the name of its message."""
    return {
        name: json.dumps(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}, indent=2
        )
        + "\n"
        for name, model in MESSAGES.items()
    }


def main() -> int:
    """Writes or checks the files."""
    options = argparse.ArgumentParser(prog="local.event_schemas", description=__doc__)
    options.add_argument("--check", action="store_true", help="write nothing; fail where a file is out of date")
    check = options.parse_args().check
    stale = []
    for name, text in schemas().items():
        path = FOLDER / f"{name}.json"
        if not path.is_file() or path.read_text() != text:
            stale.append(path.name)
            if not check:
                path.write_text(text)
    if check and stale:
        print(f"events/schemas: {', '.join(stale)} is not what the code says; run python -m local.event_schemas")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
