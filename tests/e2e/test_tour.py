"""The walk through what makes the platform comfortable; every step of it checks what it shows."""

from local.running import Platform
from local.tour import TRANSCRIPT, Tour, transcript, walk


def test_the_walk_holds_and_its_transcript_is_the_committed_one_but_for_what_varies(platform: Platform) -> None:
    tour = Tour(platform, say=lambda _text: None)

    walk(tour)

    walked = [line for line in transcript(tour.lines).splitlines() if line.startswith(("#", "`", "The", "One", "A "))]
    written = [line for line in TRANSCRIPT.read_text().splitlines() if line.startswith(("#", "`", "The", "One", "A "))]
    assert walked == written
