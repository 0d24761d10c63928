"""A synthesized cloud assembly, read: its stacks in the order of deployment, and their file assets."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


class BrokenAssembly(ValueError):
    """The directory is not an assembly that this deployment can read."""


@dataclass(frozen=True, kw_only=True)
class FileAsset:
    """A file or directory that a template refers to by bucket and key."""

    source: Path
    zipped: bool
    bucket: str
    key: str


@dataclass(frozen=True, kw_only=True)
class AssembledStack:
    """One stack of the assembly."""

    name: str
    artifact: str
    template_path: Path
    parameters: dict[str, str]

    @cached_property
    def template(self) -> dict[str, Any]:
        """The template, parsed."""
        parsed: dict[str, Any] = json.loads(self.template_path.read_text())
        return parsed


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """`cdk.out`, as far as deploying it needs to know."""

    directory: Path
    stacks: tuple[AssembledStack, ...]
    assets: tuple[FileAsset, ...]

    @property
    def template_bytes(self) -> int:
        """The size of all templates together."""
        return sum(stack.template_path.stat().st_size for stack in self.stacks)


def read(directory: Path, *, account: str, region: str) -> Assembly:
    """Read the assembly in `directory`, with the account's and region's placeholders filled in."""
    manifest_path = directory / "manifest.json"
    if not manifest_path.is_file():
        raise BrokenAssembly(f"{manifest_path} is missing: nothing was synthesized there")
    artifacts: dict[str, dict[str, Any]] = json.loads(manifest_path.read_text())["artifacts"]

    def filled(text: str) -> str:
        return (
            text.replace("${AWS::AccountId}", account)
            .replace("${AWS::Region}", region)
            .replace("${AWS::Partition}", "aws")
        )

    assets: dict[tuple[str, str], FileAsset] = {}
    for artifact in artifacts.values():
        if artifact["type"] == "cdk:asset-manifest":
            for asset in _file_assets(directory, directory / artifact["properties"]["file"], filled):
                assets[asset.bucket, asset.key] = asset
    stacks = tuple(
        AssembledStack(
            name=artifacts[name]["properties"].get("stackName", name),
            artifact=name,
            template_path=directory / artifacts[name]["properties"]["templateFile"],
            parameters=artifacts[name]["properties"].get("parameters", {}),
        )
        for name in _in_order(artifacts)
        if artifacts[name]["type"] == "aws:cloudformation:stack"
    )
    if not stacks:
        raise BrokenAssembly(f"{manifest_path} has no stack")
    return Assembly(directory=directory, stacks=stacks, assets=tuple(assets.values()))


def _file_assets(directory: Path, manifest: Path, filled: Any) -> Iterator[FileAsset]:
    described = json.loads(manifest.read_text())
    if described.get("dockerImages"):
        raise BrokenAssembly(f"{manifest.name} asks for a Docker image; this project deploys without Docker")
    for asset in described.get("files", {}).values():
        source = asset["source"]
        if "path" not in source:
            raise BrokenAssembly(f"{manifest.name} has an asset that only a command can build")
        for place in asset["destinations"].values():
            yield FileAsset(
                source=directory / source["path"],
                zipped=source.get("packaging") == "zip",
                bucket=filled(place["bucketName"]),
                key=filled(place["objectKey"]),
            )


def _in_order(artifacts: dict[str, dict[str, Any]]) -> list[str]:
    done: dict[str, None] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise BrokenAssembly(f"stacks depend on each other: {' -> '.join((*path, name))}")
        if name in done or name not in artifacts:
            return
        for needed in artifacts[name].get("dependencies", []):
            visit(needed, (*path, name))
        done[name] = None

    for name in sorted(artifacts):
        visit(name, ())
    return list(done)
