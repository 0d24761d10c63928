"""The steps of the workflow that seals a day of the books."""

from typing import Annotated

from pydantic import BaseModel, Field

from functions.books_seal.schemas import BeginStep, Begun, Scanned, ScanStep, SealStep, Seen, VerifyStep
from smallpeck.ledger import seal_service
from smallpeck.runtime.observability import count, logger
from smallpeck.runtime.proving import root_store, seal_ports
from smallpeck.runtime.steps import step
from smallpeck.runtime.wiring import current

Step = Annotated[BeginStep | ScanStep | SealStep | VerifyStep, Field(discriminator="step")]


@step(Step)
def handler(asked: Step) -> BaseModel:
    """Says what is next, reads a part of the ledger, or joins the parts: into a seal, or only to look."""
    here = current()
    match asked:
        case BeginStep():
            begun = seal_service.begin(scheduled_at=asked.scheduled_at, roots=here.once(root_store))
            return Begun(
                day=begun.day, known=begun.known, sealed=begun.sealed, segments=list(range(seal_service.SEGMENTS))
            )
        case ScanStep():
            ports = here.once(seal_ports)
            found = seal_service.scan(
                segment=asked.segment, segments=seal_service.SEGMENTS, items=ports.items, scratch=ports.scratch
            )
            return Scanned(runs=found.runs, items=found.items)
        case SealStep():
            ports = here.once(seal_ports)
            return _seen(seal_service.seal(day=asked.day, known=asked.known, runs=asked.runs, ports=ports))
        case VerifyStep():
            return _seen(seal_service.verify(known=asked.known, runs=asked.runs, ports=here.once(seal_ports)))
    raise TypeError(f"not a step: {asked!r}")


def _seen(report: seal_service.SealReport) -> Seen:
    count("SealDifferences", report.difference_count)
    if report.difference_count:
        extra = {"differences": report.difference_count, "what": report.differences[0].what, "file": report.file}
        logger.error("what was sealed has changed", extra=extra)
    return Seen(
        day=report.day,
        number=report.number,
        new=report.new,
        known=report.known,
        differences=report.difference_count,
        file=report.file,
        unchanged=report.difference_count == 0,
    )
