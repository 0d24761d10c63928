"""What is edited while the platform runs takes effect with the next request: functions, and the layer of business code.

A change becomes a version like any other: code or layer, then a version, then the alias `live`. What was under way ends
on the old one. Code that cannot be compiled goes nowhere, and the old code goes on.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from local.assets import zip_directory
from local.paths import ROOT

FUNCTIONS: Final = ROOT / "functions"
CORE: Final = ROOT / "layers" / "core"
ALIAS: Final = "live"
CORE_NAME: Final = "core"
_PREFIX: Final = "small-peck-local-"
_NAME_IN_ARN: Final = 6
_LEFT_OUT: Final = ("__pycache__", "*.py[co]", ".*")

Seen = Mapping[Path, tuple[int, int]]


@dataclass(frozen=True)
class Change:
    """A part that was edited; `problem` says why it did not take effect."""

    part: str
    problem: str = ""


@dataclass
class Reloader:
    """Looks at the code when it is asked to, and brings what has changed to the functions."""

    lambda_: Any
    functions: Path = FUNCTIONS
    core: Path = CORE
    _seen: dict[str, Seen] = field(init=False)

    def __post_init__(self) -> None:
        self._seen = self._look()

    def changes(self) -> list[Change]:
        """Brings up what was edited since the last call, and says what that was."""
        now = self._look()
        edited = sorted(part for part in now if now[part] != self._seen.get(part))
        self._seen = now
        said = [Change(part, _broken(self._folder(part))) for part in edited]
        sound = {one.part for one in said if not one.problem}
        return [one for one in said if one.problem] + list(self._brought(sound))

    def _look(self) -> dict[str, Seen]:
        parts = [CORE_NAME, *(path.parent.name for path in self.functions.glob("*/handler.py"))]
        return {part: _stamps(self._folder(part)) for part in parts}

    def _folder(self, part: str) -> Path:
        return self.core if part == CORE_NAME else self.functions / part

    def _brought(self, parts: set[str]) -> Iterator[Change]:
        if CORE_NAME in parts:
            yield self._tried(CORE_NAME, self._bring_core)
        for name in sorted(parts - {CORE_NAME}):
            yield self._tried(name, lambda name=name: self._bring_function(name))

    def _tried(self, part: str, bring: Any) -> Change:
        try:
            bring()
        except ClientError as error:
            return Change(part, str(error.response["Error"]["Message"]))
        return Change(part)

    def _bring_function(self, name: str) -> None:
        with tempfile.TemporaryDirectory(prefix="small-peck-reload-") as folder:
            package = _package(self._folder(name), Path(folder) / "package", f"functions/{name}")
            function = _PREFIX + name.replace("_", "-")
            self.lambda_.update_function_code(FunctionName=function, ZipFile=package)
            self._publish(function)

    def _bring_core(self) -> None:
        with tempfile.TemporaryDirectory(prefix="small-peck-reload-") as folder:
            package = _package(self.core, Path(folder) / "package", "")
        arns: dict[str, str] = {}
        for function, layers in self._deployed():
            # The first layer is that of the business code.
            layer = layers[0].split(":")[_NAME_IN_ARN]
            if layer not in arns:
                made = self.lambda_.publish_layer_version(LayerName=layer, Content={"ZipFile": package})
                arns[layer] = made["LayerVersionArn"]
            self.lambda_.update_function_configuration(FunctionName=function, Layers=[arns[layer], *layers[1:]])
            self._publish(function)

    def _deployed(self) -> Iterator[tuple[str, list[str]]]:
        for page in self.lambda_.get_paginator("list_functions").paginate():
            for one in page["Functions"]:
                layers = [layer["Arn"] for layer in one.get("Layers", [])]
                if one["FunctionName"].startswith(_PREFIX) and layers:
                    yield one["FunctionName"], layers

    def _publish(self, function: str) -> None:
        version = self.lambda_.publish_version(FunctionName=function)["Version"]
        self.lambda_.update_alias(FunctionName=function, Name=ALIAS, FunctionVersion=version)


def _stamps(folder: Path) -> Seen:
    found = {}
    for path in folder.rglob("*.py"):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue  # it went while we looked, so the next look will differ
        found[path] = (state.st_mtime_ns, state.st_size)
    return found


def _broken(folder: Path) -> str:
    """Where the first file that cannot be compiled is wrong; empty where there is none."""
    for path in sorted(folder.rglob("*.py")):
        try:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            return f"{path}:{line}: {getattr(error, 'msg', None) or error}"
        except FileNotFoundError:
            continue  # it went while we looked, so the next look will differ
    return ""


def _package(source: Path, root: Path, inside: str) -> bytes:
    """A zip of `source` as the folder `inside`."""
    shutil.copytree(source, root / inside, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    target = root.with_suffix(".zip")
    zip_directory(root, target)
    return target.read_bytes()
