"""The one way a workflow is started once a day."""

from aws_cdk import Duration, TimeZone
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from constructs import Construct

from infra.constructs.alarms import Alarms
from infra.constructs.queue import DeadLetterQueue
from infra.constructs.workflow import Workflow


def once_a_day(
    scope: Construct, workflow: Workflow, *, name: str, description: str, hour: int, minute: int, alarms: Alarms
) -> None:
    """Starts `workflow` at this time of day, UTC. What cannot be delivered within six hours is held, with an alarm.

    The input is the moment it was due, however late it is delivered, or how often: it names the day.
    """
    missed = DeadLetterQueue(scope, "ScheduleDeadLetters", name=name, alarms=alarms)
    scheduler.Schedule(
        scope,
        "Daily",
        description=description,
        schedule=scheduler.ScheduleExpression.cron(minute=str(minute), hour=str(hour), time_zone=TimeZone.ETC_UTC),
        target=scheduler_targets.StepFunctionsStartExecution(
            workflow.machine,
            input=scheduler.ScheduleTargetInput.from_object(
                {"scheduled_at": scheduler.ContextAttribute.scheduled_time}
            ),
            dead_letter_queue=missed.queue,
            retry_attempts=10,
            max_event_age=Duration.hours(6),
        ),
    )
