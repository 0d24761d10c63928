"""The first rows of a file that are no tasks: from the import's report, or from its quarantine where there are more."""

import json
from collections.abc import Sequence
from typing import Final

from smallpeck.runtime.wiring import Wiring, import_files
from smallpeck.tasks.importing import ImportReport
from smallpeck.tasks.rows import BadRow, Rejection

SHOWN: Final = 100
_READ_BYTES: Final = 256 * 1024


def first_rejections(wiring: Wiring, report: ImportReport | None) -> Sequence[BadRow]:
    """Up to a hundred rejected rows in the order of the file."""
    if report is None:
        return ()
    if report.quarantine_key is None or report.rejected <= len(report.sample):
        return report.sample[:SHOWN]
    text = wiring.once(import_files).beginning(report.quarantine_key, _READ_BYTES)
    whole, _, _ = text.rpartition(b"\n")
    rows = map(json.loads, whole.splitlines()[:SHOWN])
    return [BadRow(row["line"], Rejection(row["reason"]), row["detail"]) for row in rows]
