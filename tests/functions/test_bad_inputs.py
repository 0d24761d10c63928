"""The list of bad inputs, number by number: what each gets, and that it changes nothing."""

from collections.abc import Mapping

import pytest

from smallpeck.runtime.wiring import wired
from tests.functions import bad_messages, bad_requests, bad_reviews, bad_uploads
from tests.functions.bad_inputs import Row
from tests.functions.world import Platform

ROWS: list[Row] = [*bad_requests.ROWS, *bad_reviews.ROWS, *bad_messages.ROWS, *bad_uploads.ROWS]
NOT_HERE: Mapping[int, str] = {
    39: "no kind of task takes media by address",
}


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_bad_input_gets_what_the_list_says(row: Row) -> None:
    platform = Platform()
    with wired(platform.wiring):
        row.run(platform)


def test_every_number_is_in_the_table_or_has_its_reason() -> None:
    numbered = {row.number for row in ROWS}
    assert (numbered - {0}) | NOT_HERE.keys() == set(range(1, 66))
    assert not numbered & NOT_HERE.keys()
    assert len({row.name for row in ROWS}) == len(ROWS)
