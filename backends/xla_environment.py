"""What torch-xla needs and what spoils it: versions that belong together, and variables."""

from __future__ import annotations

from packaging.version import Version

from .protocol import Availability

#: Variables under which a figure would be of something else than was asked for, and what they do.
RULED_OUT = {
    "XLA_USE_BF16": "computes fp32 in bf16, whatever dtype is asked for",
    "XLA_DOWNCAST_BF16": "computes fp32 in bf16, whatever dtype is asked for",
    "XLA_USE_EAGER_DEBUG_MODE": "runs every operator as a graph of its own",
    "XLA_USE_SPMD": "spreads tensors over several devices",
    "XLA_SYNC_WAIT": "makes every cut of a step wait, so that nothing can be queued",
    "XLA_IR_DEBUG": "notes where each operator was called from, which slows recording",
    "XLA_HLO_DEBUG": "notes where each operator was called from, which slows recording",
    "PT_XLA_DEBUG": "analyses every graph, which slows recording",
}


def check_versions(torch: str | None, torch_xla: str | None) -> Availability | None:
    """Why torch-xla can't run with this torch; ``None`` when they belong together."""
    if torch_xla is None:
        return Availability(
            available=False,
            reason="torch-xla is not installed",
            mend='in an environment of its own: pip install "torch==2.9.1" "torch-xla==2.9.0"',
        )
    if torch is not None and Version(torch).release[:2] != Version(torch_xla).release[:2]:
        wanted = ".".join(map(str, Version(torch_xla).release[:2]))
        return Availability(
            available=False,
            reason=f"torch-xla {torch_xla} is built for torch {wanted}, and torch {torch} is here",
            mend=f'pip install "torch=={wanted}.*"',
            facts={"torch": torch, "torch_xla": torch_xla},
        )
    return None
