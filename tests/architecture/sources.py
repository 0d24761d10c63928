"""The project's own source files, parsed."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAYER = ROOT / "layers/core/python"


@dataclass(frozen=True)
class Source:
    """One module: where it lies, what it is called and what stands in it."""

    path: Path
    module: str

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def name(self) -> str:
        """The path from the project's root."""
        return self.path.relative_to(ROOT).as_posix()

    def imported(self) -> Iterator[str]:
        """Every module that is imported anywhere in it, inside functions too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                package = LAYER.joinpath(*node.module.split("."))
                for alias in node.names:
                    inner = (package / f"{alias.name}.py").exists() or (package / alias.name).is_dir()
                    yield f"{node.module}.{alias.name}" if inner else node.module


def sources(folder: Path, root: Path = ROOT) -> list[Source]:
    """The modules below `folder`, called by their path from `root`."""
    return [
        Source(path, ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"))
        for path in sorted(folder.rglob("*.py"))
        if "cdk.out" not in path.parts
    ]


def layer() -> list[Source]:
    """The modules of the layer, as they are imported."""
    return sources(LAYER, LAYER)


def functions() -> list[Source]:
    """The modules of the Lambda functions."""
    return sources(ROOT / "functions")


def infra() -> list[Source]:
    """The modules of the deployment."""
    return sources(ROOT / "infra")


def local() -> list[Source]:
    """The modules of the local run."""
    return sources(ROOT / "local")
