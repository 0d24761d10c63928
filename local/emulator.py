"""What runs inside the emulator's process: its lifeline, and corrections towards what AWS does.

Every correction names the place in MiniStack it changes and refuses to start when that place looks different, so a
version bump cannot lose one silently. `tests/contract/ministack` shows each of them at work.
"""

# ruff: noqa: SLF001 - reaching inside is what this module is for

import contextlib
import inspect
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import zipfile
from collections import defaultdict
from typing import Any

_GRACE = 2.0
_EMPTY_ZIP = b"PK\x05\x06" + bytes(18)


def main() -> None:
    """Start MiniStack under the lifeline. `argv[1]` is the data directory to remove at the end."""
    _hold_lifeline(sys.argv[1])
    sys.argv = ["ministack"]
    from ministack import app

    _name_errors_by_class()
    _say_which_version()
    _put_groups_into_both_tokens()
    _unpack_each_layer_once()
    _scale_callbacks()
    _lose_no_time_on_silence()
    _bound_processes(int(os.environ.pop("SMALL_PECK_FUNCTION_PROCESSES", "2")))
    app.main()


# -- lifeline ---------------------------------------------------------------------------------------------------


def _hold_lifeline(data: str) -> None:
    threading.Thread(target=_await_end, args=(data,), daemon=True, name="lifeline").start()


def _await_end(data: str) -> None:
    while os.read(0, 4096):
        pass
    # This process leads its group, because the engine started it in a session of its own; the workers are the rest.
    # They are asked first, so that none of them writes while the data is removed.
    with contextlib.suppress(Exception):
        _end_workers()
    shutil.rmtree(data, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _end_workers() -> None:
    workers = _live_workers()
    for worker in workers:
        with contextlib.suppress(OSError):
            worker.terminate()
    deadline = time.monotonic() + _GRACE
    for worker in workers:
        with contextlib.suppress(Exception):
            worker.wait(timeout=max(0.0, deadline - time.monotonic()))


def _live_workers() -> list[Any]:
    runtime = sys.modules.get("ministack.core.lambda_runtime")
    if runtime is None:
        return []
    return [worker._proc for pool in list(runtime._workers.values()) for worker in pool if worker._proc]


# -- corrections ------------------------------------------------------------------------------------------------


class ChangedUnderneath(RuntimeError):
    """MiniStack no longer looks as this module expects; the correction must be looked at again."""


def _name_errors_by_class() -> None:
    """A Python exception is reported under its class name, as the Lambda runtime does, with its stack trace.

    MiniStack reports every one as `Runtime.HandlerError`, under which no Retry or Catch by name ever matches.
    """
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    said = '"error": str(e), "trace": traceback.format_exc()}'
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    if script.count(said) != 1:
        raise ChangedUnderneath("the worker script reports exceptions in another way")
    lambda_runtime._PYTHON_WORKER_SCRIPT = script.replace(
        said, said[:-1] + ', "error_type": type(e).__name__, "stack": traceback.format_tb(e.__traceback__)}'
    )
    last = threading.local()
    invoke, execute = lambda_runtime.Worker.invoke, lambda_svc._execute_function_warm

    def remembering(self: Any, *arguments: Any, **named: Any) -> Any:
        response = invoke(self, *arguments, **named)
        last.response = response
        return response

    def naming(*arguments: Any, **named: Any) -> Any:
        last.response = {}
        result = execute(*arguments, **named)
        kind = last.response.get("error_type")
        if kind and result.get("error") and result["body"].get("errorType") == "Runtime.HandlerError":
            result["body"] |= {"errorType": kind, "stackTrace": last.response.get("stack", [])}
        return result

    lambda_runtime.Worker.invoke = remembering
    lambda_svc._execute_function_warm = naming


def _say_which_version() -> None:
    """S3 events on EventBridge carry `detail.object.version-id`, without which nothing can be read by version."""
    from ministack.services import eventbridge, s3

    parameters = inspect.signature(s3._fire_s3_event).parameters
    if "version_id" not in parameters or "version-id" in inspect.getsource(s3._fire_s3_event):
        raise ChangedUnderneath("S3 says in another way which version an event is about")
    fire, dispatch = s3._fire_s3_event, eventbridge._dispatch_event
    about = threading.local()

    def remembering(*arguments: Any, **named: Any) -> None:
        about.version = inspect.signature(fire).bind(*arguments, **named).arguments.get("version_id")
        try:
            fire(*arguments, **named)
        finally:
            about.version = None

    def telling(event: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        version = getattr(about, "version", None)
        if version and event.get("Source") == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version
            event = event | {"Detail": json.dumps(detail)}
        return dispatch(event, *arguments, **named)

    s3._fire_s3_event = remembering
    eventbridge._dispatch_event = telling


def _put_groups_into_both_tokens() -> None:
    """A PreTokenGeneration trigger of version 2 overrides the groups of both tokens beside the sections of each.

    MiniStack looks for them inside each token's section, where AWS knows none.
    """
    from ministack.services import cognito

    read = cognito._extract_trigger_response
    if 'scope_overrides.get("groupOverrideDetails")' not in inspect.getsource(cognito._apply_pretoken_trigger):
        raise ChangedUnderneath("the trigger's groups are read in another way")

    def spreading(payload: Any) -> Any:
        response = read(payload)
        overrides = (response or {}).get("claimsAndScopeOverrideDetails") or {}
        groups = overrides.get("groupOverrideDetails")
        if groups:
            for section in ("accessTokenGeneration", "idTokenGeneration"):
                overrides[section] = {**(overrides.get(section) or {}), "groupOverrideDetails": groups}
        return response

    cognito._extract_trigger_response = spreading


def _unpack_each_layer_once() -> None:
    """Workers share one unpacked copy of a layer's version, as they share /opt on AWS: read only.

    MiniStack unpacks every layer anew for every worker process, in its own process, which holds up all other requests.
    """
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    spawn = lambda_runtime.Worker._spawn
    source = inspect.getsource(spawn)
    if 'self.config.get("Layers"' not in source or "spawn_env = {**os.environ, **env_vars}" not in source:
        raise ChangedUnderneath("workers find their layers in another way")
    lock = threading.Lock()
    places: dict[str, str] = {}

    def place(arn: str) -> str:
        with lock:
            if arn not in places:
                directory = tempfile.mkdtemp(prefix="layer-")
                with zipfile.ZipFile(io.BytesIO(lambda_svc._resolve_layer_zip(arn) or _EMPTY_ZIP)) as archive:
                    archive.extractall(directory)
                places[arn] = directory
            return places[arn]

    def spawning(self: Any) -> None:
        whole = self.config
        if whole.get("Runtime", "").startswith("python"):
            arns = [one if isinstance(one, str) else one["Arn"] for one in whole.get("Layers") or []]
            variables = (whole.get("Environment") or {}).get("Variables") or {}
            variables = {**variables, "_LAMBDA_LAYERS_DIRS": os.pathsep.join(place(arn) for arn in arns)}
            self.config = {**whole, "Layers": [], "Environment": {"Variables": variables}}
        try:
            spawn(self)
        finally:
            self.config = whole

    lambda_runtime.Worker._spawn = spawning


def _scale_callbacks() -> None:
    """How long a task may wait for its token is a wait like any other: it is shortened with the rest."""
    from ministack.services import stepfunctions

    original = stepfunctions._invoke_with_callback

    def scaled(resource: str, given: Any, token: str, state: dict[str, Any]) -> Any:
        if "TimeoutSeconds" in state:
            state = {**state, "TimeoutSeconds": state["TimeoutSeconds"] * stepfunctions._SFN_WAIT_SCALE}
        return original(resource, given, token, state)

    stepfunctions._invoke_with_callback = scaled


def _lose_no_time_on_silence() -> None:
    """After an invocation that printed nothing, wait 4 ms for a line that may be on its way, instead of 50.

    It takes three times as many requests a second then. A line that comes later belongs to the next invocation.
    """
    from ministack.core import lambda_runtime

    drain = lambda_runtime.Worker._drain_stderr_bounded
    names = ("first_line_wait", "idle_confirm", "hard_cap")
    found = tuple(inspect.signature(drain).parameters)[1:]
    if found != names:
        raise ChangedUnderneath("workers wait for lines in another way")
    drain.__defaults__ = (0.004, 0.002, 0.25)


def _bound_processes(limit: int) -> None:
    """One function has at most `limit` worker processes; what comes on top waits its turn.

    MiniStack starts a process for each concurrent invocation. Reserved concurrency would refuse the surplus, which
    AWS, with a thousand at hand, does not.
    """
    from ministack.services import lambda_svc

    execute = lambda_svc._execute_function_warm
    turns: dict[str, threading.BoundedSemaphore] = defaultdict(lambda: threading.BoundedSemaphore(limit))

    def in_turn(func: Any, *arguments: Any, **named: Any) -> Any:
        config = func.get("config") or func
        with turns[config["FunctionName"]]:
            return execute(func, *arguments, **named)

    lambda_svc._execute_function_warm = in_turn


if __name__ == "__main__":
    main()
