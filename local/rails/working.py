"""Simulated peers that work by themselves beside the embedded run: a bank, and Circle with its notifications."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import urllib3

from local.rails.circle import Announcer, Circle
from local.rails.sepa_bank import Bank
from smallpeck.kernel.clock import SystemClock
from smallpeck.payouts.rails.mailbox import MailboxFailed

_OK = 200


@contextmanager
def banking(bank: Bank, *, every_seconds: float = 0.5) -> Iterator[None]:
    """The bank reads its mailbox and answers while the block runs."""
    with _repeating(lambda: _work(bank), every_seconds, "bank"):
        yield


@contextmanager
def announcing(circle: Circle, announcer: Announcer, url: str, *, every_seconds: float = 0.5) -> Iterator[None]:
    """Circle's payouts go on by themselves while the block runs, and what became of each is told to `url`."""
    told: set[str] = set()
    http = urllib3.PoolManager(maxsize=1, retries=False, timeout=10.0)
    try:
        with _repeating(lambda: _announce(circle, announcer, http, url, told), every_seconds, "circle events"):
            yield
    finally:
        http.clear()


def _work(bank: Bank) -> None:
    try:
        bank.work(SystemClock().now_ms())
    except MailboxFailed:
        return  # it looks again in a moment


def _announce(circle: Circle, announcer: Announcer, http: urllib3.PoolManager, url: str, told: set[str]) -> None:
    for identifier in [one for one in circle.payouts if one not in told]:
        seen = circle.get(f"/v1/payouts/{identifier}", {})
        if seen is None or seen[1]["data"]["status"] == "pending":
            continue
        body = announcer.notification(seen[1]["data"], now_ms=SystemClock().now_ms())
        try:
            status = http.request("POST", url, body=body, headers={"Content-Type": "text/plain"}).status
        except urllib3.exceptions.HTTPError:
            return
        if status == _OK:
            told.add(identifier)


@contextmanager
def _repeating(act: Callable[[], None], every_seconds: float, name: str) -> Iterator[None]:
    done = threading.Event()

    def run() -> None:
        while not done.wait(every_seconds):
            act()

    thread = threading.Thread(target=run, daemon=True, name=name)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
