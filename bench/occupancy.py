"""Whether somebody else is using a device, asked before anything starts on it."""

from __future__ import annotations

import time

from ..backends.protocol import Backend, Refusal, Settings
from ..results.record import Failure, ProcessOutcome, Status

#: Seconds after which a device that somebody holds is asked for once more.
AGAIN_S = 2.0


def find_others(backend: Backend, settings: Settings) -> Refusal | None:
    """Who holds the device, or ``None``. Asked twice, since a driver may still list a worker of
    ours that has just ended."""
    if backend.busy(settings) is None:
        return None
    time.sleep(AGAIN_S)
    return backend.busy(settings)


def busy_outcomes(busy: Refusal, count: int, process: int, position: int) -> list[ProcessOutcome]:
    """What becomes of ``count`` cases, the first at ``position``, while somebody holds the
    device: nothing is measured."""
    return [
        ProcessOutcome(
            process=process,
            position=position + index,
            status=Status.BUSY_DEVICE,
            failure=Failure(message=busy.reason, mend=busy.mend, kind="busy"),
            duration_s=0.0,
        )
        for index in range(count)
    ]
