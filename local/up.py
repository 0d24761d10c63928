"""The platform on this machine, with people and work in it, until Ctrl-C.

Prints the API's address, who there is with their tokens, and five lines of curl that work in another terminal. Serves
the API's document to try in a browser, and brings up functions and business code as they are edited.
"""

import argparse
import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from rich.console import Console

from cli.client import Refused
from local import state, swagger
from local.openapi import DOCUMENT
from local.reload import Reloader
from local.running import DEFAULT_LOG, FAILURES, Platform, running
from local.seed import seed, told

INTERRUPTED = 130


def main() -> int:
    """Run until interrupted; 0 where that happened when everything was up."""
    options = argparse.ArgumentParser(prog="local.up", description=__doc__)
    options.add_argument("--port", type=int, help="port of the emulator (default: a free one)")
    options.add_argument("--log", type=Path, default=DEFAULT_LOG, help="where its log goes")
    options.add_argument("--state", type=Path, default=state.STATE, help="where the command line looks for what runs")
    options.add_argument("--processes", type=int, default=2, help="worker processes per function")
    chosen = options.parse_args()
    say = Console(stderr=True)
    # Set even where the caller ignores them: a shell starts background jobs so.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.default_int_handler)
    try:
        with running(
            console=say, port=chosen.port, log_path=chosen.log, function_processes=chosen.processes
        ) as platform:
            reloader = Reloader(platform.engine.client("lambda"))
            with say.status("signing people up, publishing the sample"):
                seeded = seed(platform)
            with state.written(platform, seeded, chosen.state), _documented(platform) as page:
                _stay(platform, reloader, say, "\n".join([f"Docs {page}", *told(platform, seeded)]))
    except (*FAILURES, Refused) as failed:
        say.print(str(failed), style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


@contextlib.contextmanager
def _documented(platform: Platform) -> Iterator[str]:
    """The API's document as a page; gives its address, or says what is missing."""
    assets = swagger.files()
    if assets is None:
        yield "is not installed; run: make bootstrap"
        return
    with swagger.serving(platform.api, DOCUMENT, assets) as url:
        yield f"{url} (a page to try the API on; Authorize takes one of the tokens)"


def _stay(platform: Platform, reloader: Reloader, say: Console, text: str) -> None:
    """Say what there is, then wait for the end, and bring up what is edited meanwhile."""
    done = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        if done.is_set():
            raise KeyboardInterrupt
        done.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    print(text, flush=True)
    aws = " ".join(f"{name}={value}" for name, value in platform.engine.environment().items())
    say.print(f"  aws       {aws}", highlight=False, soft_wrap=True)
    say.print(f"  log       {platform.engine.log_path}\n  Ctrl-C ends it", highlight=False)
    while not done.wait(1.0):
        platform.engine.ensure_running()
        for change in reloader.changes():
            style, what = ("red", change.problem) if change.problem else ("green", "takes effect with the next request")
            say.print(f"  {change.part}: {what}", style=style, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    raise SystemExit(main())
