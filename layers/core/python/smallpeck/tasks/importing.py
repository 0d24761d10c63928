"""Importing: an uploaded file becomes the tasks of a draft batch, all of them or none.

    begin      draft -> importing, under the id of this version of the file; anything else is ignored
    split      the file's rows become parts (`smallpeck.tasks.splitting`), or the file is refused: -> draft
    write_part the rows of one part become tasks, once, however often it runs
    complete   every part is there: -> ready
    fail       a fault of ours: -> draft while no task can have been written; afterwards the import is *held*, and
               runs to its end when the same version is imported again

An import's id follows from key and version, so an event that comes twice goes on with the same import.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import batched as _batched  # type: ignore[attr-defined,unused-ignore]
from typing import Final, Protocol
