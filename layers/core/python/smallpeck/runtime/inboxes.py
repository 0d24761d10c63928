"""What requesters drop: the steps from a spec to a batch, and the credentials to drop with."""

import json
from typing import Any, Final, cast

from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.errors import SmallPeckError
from smallpeck.people.service import get_requester
from smallpeck.runtime import spec_file
from smallpeck.runtime.wiring import Wiring, import_store, profile_store, task_store
from smallpeck.tasks import dropping
from smallpeck.tasks.dropping import Drop, DropReport, Opened
from smallpeck.tasks.importing import INBOX
from smallpeck.tasks.object_store import InboxFiles

CREDENTIALS_SECONDS: Final = 3_600
_SESSION_NAME_CHARACTERS: Final = 64


def inbox_files(wiring: Wiring) -> InboxFiles:
    return InboxFiles(wiring.client("s3"))


def open_drop(wiring: Wiring, drop: Drop) -> Opened | DropReport:
    """Makes the draft that a spec describes, or says what its requester must put right."""
    lines = {}
    try:
        files = wiring.once(inbox_files)
        text = files.spec(drop.bucket, drop.key, drop.version_id, most=dropping.MAX_SPEC_BYTES)
        parsed = spec_file.parse(drop.key, text)
        lines = dict(parsed.lines)
        spec = spec_file.ReadSpec(spec_file.check(parsed), wiring.clock.now_ms(), wiring.settings.fee_basis_points)
        return dropping.open_drop(
            drop=drop,
            spec=spec,
            requesters=wiring.once(profile_store),
            reads=wiring.once(task_store),
            unit=wiring.table,
        )
    except SmallPeckError as error:
        if not dropping.is_theirs(error):
            raise
        return dropping.refused(drop=drop, error=error, lines=lines)


def conclude(wiring: Wiring, drop: Drop, opened: Opened) -> DropReport:
    """What became of a drop whose import has ended."""
    return dropping.conclude(
        drop=drop,
        opened=opened,
        now_ms=wiring.clock.now_ms(),
        reads=wiring.once(task_store),
        imports=wiring.once(import_store),
        books=wiring.ledger,
        unit=wiring.table,
    )


def failed(wiring: Wiring, drop: Drop) -> DropReport:
    """What became of a drop that we could not handle."""
    return dropping.failed(drop=drop, reads=wiring.once(task_store), imports=wiring.once(import_store))


def tell(wiring: Wiring, drop: Drop, report: DropReport) -> None:
    """Puts the report beside the spec."""
    wiring.once(inbox_files).report(drop.bucket, drop.report_key, report.document())


def inbox_credentials(wiring: Wiring, requester_id: str) -> dict[str, Any]:
    """Credentials for an hour that reach one requester's inbox and nothing else; makes the requester known."""
    get_requester(
        requester_id=requester_id,
        now_ms=wiring.clock.now_ms(),
        profiles=wiring.once(profile_store),
        unit=wiring.table,
    )
    bucket = wiring.settings.uploads_bucket
    given = wiring.client("sts").assume_role(
        RoleArn=wiring.settings.inbox_role_arn,
        RoleSessionName=f"inbox-{requester_id}"[:_SESSION_NAME_CHARACTERS],
        DurationSeconds=CREDENTIALS_SECONDS,
        Policy=json.dumps(session_policy(bucket, requester_id, partition=_partition(wiring.settings.inbox_role_arn))),
    )
    held = cast("dict[str, Any]", given["Credentials"])
    return {
        "bucket": bucket,
        "prefix": f"{INBOX}/{requester_id}/",
        "access_key_id": held["AccessKeyId"],
        "secret_access_key": held["SecretAccessKey"],
        "session_token": held["SessionToken"],
        "expires_at": to_rfc3339(int(held["Expiration"].timestamp()) * 1000),
    }


def session_policy(bucket: str, requester_id: str, *, partition: str = "aws") -> dict[str, Any]:
    """What is left of the role's rights for one requester. A requester's id cannot hold what IAM reads as a pattern."""
    own, arn = f"{INBOX}/{requester_id}/", f"arn:{partition}:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject"],
                "Resource": f"{arn}/{own}*",
            },
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": arn,
                "Condition": {"StringLike": {"s3:prefix": [own, f"{own}*"]}},
            },
        ],
    }


def _partition(arn: str) -> str:
    return arn.split(":")[1]
