"""The one way a queue is made: encrypted, TLS only, and never without a place for what cannot be handled."""

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.alarms import Alarms
from infra.nag import explain

MAX_RECEIVES = 5


class DeadLetterQueue(Construct):
    """Where a message, event or call ends that could not be delivered or handled; kept for two weeks, with an alarm."""

    def __init__(self, scope: Construct, construct_id: str, *, name: str, alarms: Alarms) -> None:
        super().__init__(scope, construct_id)
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        alarms.dead_letters(name, self.queue)
        explain(self.queue, {"AwsSolutions-SQS3": "It is a dead-letter queue, if not of another queue."})


class WorkQueue(Construct):
    """A queue whose messages one function handles."""

    def __init__(
        self, scope: Construct, construct_id: str, *, name: str, handler_timeout_seconds: int, alarms: Alarms
    ) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = DeadLetterQueue(self, "DeadLetters", name=name, alarms=alarms)
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            # Six times the function's timeout: Lambda's own retries of a batch that is throttled fit in.
            visibility_timeout=Duration.seconds(6 * handler_timeout_seconds),
            retention_period=Duration.days(14),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters.queue, max_receive_count=MAX_RECEIVES),
        )
        alarms.waiting(name, self.queue)
