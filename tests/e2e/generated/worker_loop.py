"""The worker's loop with the client that openapi-python-client generates as the package `small_peck_client`.

    python worker_loop.py <api address> <access token> <batch id> <answer>

Leases pages of the batch and answers them until there are none; prints what was earned.
"""

import sys
import uuid

from small_peck_client.api.worker import (
    worker_get_balance,
    worker_get_submission,
    worker_lease_page,
    worker_list_batches,
    worker_submit_page,
)
from small_peck_client.client import AuthenticatedClient
from small_peck_client.models import AnswerBody, LeaseBody, SubmissionBody

POLLS = 600


def main() -> None:
    """Works until there is nothing to do."""
    address, token, batch_id, answer = sys.argv[1:]
    client = AuthenticatedClient(base_url=address, token=token)
    offered = worker_list_batches.sync(client=client)
    assert batch_id in {batch.batch_id for batch in offered.batches}
    pages = []
    while True:
        body = LeaseBody(batch_id=batch_id)
        page = worker_lease_page.sync(client=client, body=body, idempotency_key=str(uuid.uuid4())).page
        if page is None:
            break
        answers = [AnswerBody(task_id=one.task_id, answer=answer) for one in page.assignments]
        receipt = worker_submit_page.sync(page.page_id, client=client, body=SubmissionBody(answers=answers))
        assert receipt.page_id == page.page_id
        pages.append(page.page_id)
    for page_id in pages:
        for _ in range(POLLS):
            submission = worker_get_submission.sync(page_id, client=client)
            if submission.state == "decided":
                break
        assert {one.state for one in submission.assignments} == {"approved"}
    print(worker_get_balance.sync(client=client).available)


if __name__ == "__main__":
    main()
