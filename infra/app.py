"""The CDK app: `python -m infra.app`, as `cdk.json` and the local run call it.

Context: `stage` (local, dev or prod), `vendor` (the built vendor layer), `python` (the version it is for),
`alarm_email`.
"""

from collections.abc import Mapping
from typing import Any

from aws_cdk import App, Tags

from infra import nag
from infra.packaging import Target, target
from infra.stacks.service import ServiceStack
from infra.stacks.stateful import StatefulStack
from infra.stages import STAGES, Stage

CONTEXT = ("stage", "vendor", "python", "alarm_email")


class UnknownStage(ValueError):
    """No stage, or one that does not exist, was asked for."""


def build(app: App, *, stage: Stage, on: Target, context: Mapping[str, Any]) -> None:
    """Both stacks of one stage."""
    prefix = f"small-peck-{stage.name}"
    state = StatefulStack(app, f"{prefix}-stateful", stage=stage)
    ServiceStack(
        app,
        f"{prefix}-service",
        stage=stage,
        target=on,
        state=state,
        alarm_email=context.get("alarm_email"),
    )
    Tags.of(app).add("small-peck:stage", stage.name)
    nag.check(app)


def main() -> None:
    """Synthesize the stage that the context names."""
    app = App()
    context = {name: app.node.try_get_context(name) for name in CONTEXT}
    name = context["stage"]
    if name not in STAGES:
        raise UnknownStage(f"say which stage, as in `--context stage=dev`; there are {', '.join(STAGES)}")
    on = target(context, local=name == "local")
    try:
        build(app, stage=STAGES[name], on=on, context=context)
        app.synth()
    finally:
        on.clean()


if __name__ == "__main__":
    main()
