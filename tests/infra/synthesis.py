"""Synthesizes every stage in one process that loads the CDK once: `python -m tests.infra.synthesis <out>`."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aws_cdk import App, Stack
from aws_cdk import aws_s3 as s3

from infra.app import build
from infra.packaging import ROOT, target
from infra.stages import STAGES

OTHER_VENDOR = "local-with-another-vendor-layer"
UNEXPLAINED = "unexplained"


def flags() -> dict[str, object]:
    """The context that every synthesis has, from `cdk.json`."""
    context: dict[str, object] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return context


def main(out: Path) -> None:
    """One assembly per stage, and two that tests compare with them."""
    vendor = _vendor(out, "one")
    for stage in STAGES:
        _assembly(stage, out / stage, vendor=vendor)
    _assembly("local", out / OTHER_VENDOR, vendor=_vendor(out, "two"))
    with _kept_as_text(out / f"{UNEXPLAINED}.txt"):
        _assembly("local", out / UNEXPLAINED, vendor=vendor, with_unexplained=True)


def _vendor(out: Path, content: str) -> Path:
    vendor = out / f"vendor-{content}"
    for layer in (vendor, *(out / f"vendor-{content}-{name}" for name in ("science", "rails"))):
        (layer / "python").mkdir(parents=True)
        (layer / "python" / "package.py").write_text(f"CONTENT = {layer.name!r}\n")
    return vendor


def _assembly(stage: str, out: Path, *, vendor: Path, with_unexplained: bool = False) -> None:
    context = {"vendor": str(vendor), "alarm_email": "oncall@example.com" if stage == "prod" else None}
    app = App(outdir=str(out), context=flags())
    on = target(context, local=stage == "local")
    try:
        build(app, stage=STAGES[stage], on=on, context=context)
        if with_unexplained:
            s3.Bucket(Stack(app, "plain"), "Bucket")
        app.synth()
    finally:
        on.clean()


@contextmanager
def _kept_as_text(path: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as refused:
        path.write_text(str(refused))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
