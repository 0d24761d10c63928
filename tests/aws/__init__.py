"""An in-memory AWS for tests and simulations: one virtual clock, one fault hook, clients shaped like boto3's.

aws = Aws()
aws.dynamodb.create_table(...)
aws.dynamodb.put_item(TableName="platform", Item={"pk": {"S": "A"}})
"""

from __future__ import annotations

from tests.aws.clock import EPOCH, Clock
from tests.aws.delivery import Drained, LambdaContext, drain
from tests.aws.dynamodb import Dynamo
from tests.aws.faults import Call, Crash, Fault, Faults, Plan
from tests.aws.s3 import S3
from tests.aws.sqs import Sqs
from tests.aws.stepfunctions import Sfn

__all__ = [
    "S3",
    "Aws",
    "Call",
    "Clock",
    "Crash",
    "Drained",
    "Dynamo",
    "Fault",
    "Faults",
    "LambdaContext",
    "Plan",
    "Sfn",
    "Sqs",
    "drain",
]


class Aws:
    """One world. Everything in it is deterministic: the same calls give the same answers and trace."""

    def __init__(
        self,
        *,
        start: float = EPOCH,
        validate: bool = True,
        max_attempts: int = 1,
        keep_history: bool = True,
    ) -> None:
        """Make an empty world.

        `start`: seconds since 1970. `validate`: check parameters as botocore does (slower). `max_attempts`:
        attempts of the SDK per call (1: the caller sees each injected error; 3: the SDK's standard mode).
        `keep_history`: keep the lists of calls and charges (switch off in long runs).
        """
        self.clock = Clock(start)
        self.faults = Faults(self.clock, max_attempts=max_attempts, keep_trace=keep_history)
        self.dynamodb = Dynamo(self.clock, self.faults, validate=validate, keep_charges=keep_history)
        self.sqs = Sqs(self.clock, self.faults, validate=validate)
        self.s3 = S3(self.clock, self.faults, validate=validate)
        self.sfn = Sfn(self.clock, self.faults, validate=validate)
