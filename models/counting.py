"""The cost of a program that nobody described: counted by torch while it is called once.

FLOPs are those of torch's ``FlopCounterMode`` on the math kernel of attention. Bytes are those
that the operators touch as they are dispatched. Both are counted on the meta device, which
computes nothing; where a program can't run there, on the CPU.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ..specs.cost import Cost, Headline
from .program import Program
from .traffic import watched_traffic
from .training import TrainingProgram

CONVENTION = (
    "flops_counted: as torch's FlopCounterMode counts, attention on its math kernel; flops: the "
    "same less the half of causal attention that isn't needed. Arithmetic of the other engines "
    "isn't counted. bytes_moved: operands and results of each operator once, views not; of "
    "lookups the rows touched, of attention its operands and result, of an optimizer one pass. "
    "bytes_useful: distinct inputs, weights and state that were read, those that were written, "
    "and the output, once each. Working set: these, and the most intermediate results alive at "
    "one time."
)

#: What does more than elementwise arithmetic, by name: without a formula its work is missing.
_PRODUCTS = re.compile(
    r"mm$|mv$|^v?dot$|^addr$|linear|conv|rnn|lstm|gru_|fft|linalg_(?!vector_norm|check_errors)|cdist|attention"
)


def count_cost(program: Program, headline: Headline | None = None) -> Cost | None:
    """The cost of one call of ``program``, in its own dtype; None for one without tensors.

    A program that trains is called twice, and the second call is counted: the first one makes
    the optimizer's state. ``headline`` is by default "flops", or "bytes" where there are none.
    Raises what the program raises on the CPU.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _count(on_meta(program), headline, "on the meta device")
        except Exception:  # noqa: BLE001 - whatever can't run there runs on the CPU
            return _count(program.moved(cloned), headline, "on the CPU")


def on_meta(program: Program) -> Program:
    """The program on the device that computes nothing; its weights are never copied."""
    placed = copy.copy(program)
    if isinstance(program.function, nn.Module):
        module = program.function
        # What the memo of deepcopy holds is taken for copied already.
        memo: dict[int, Any] = {id(t): t.to("meta") for t in module.buffers()}
        for parameter in module.parameters():
            value = nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
            memo[id(parameter)] = value
        placed.function = copy.deepcopy(module, memo)
    placed.inputs = tuple(
        value.to("meta") if isinstance(value, Tensor) else value for value in program.inputs
    )
    return placed


def cloned(value: Any) -> Any:
    """A tensor of its own; a module is a copy already where a program is moved."""
    return value.clone() if isinstance(value, Tensor) else value


def _count(program: Program, headline: Headline | None, where: str) -> Cost | None:
    if isinstance(program, TrainingProgram):
        program()
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), watched_traffic() as traffic, counter:
        output = program()
    counted = counter.get_total_flops()
    if not (counted or traffic.moved):
        return None
    flops = counted - traffic.unneeded_flops
    known = {str(packet).removeprefix("aten.") for packet in counter.flop_registry}
    uncounted = sorted(name for name in traffic.operators if _is_uncounted(name, known))
    items, unit = _items(program.inputs)
    return Cost(
        flops=flops,
        flops_counted=counted,
        bytes_moved=traffic.moved,
        bytes_useful=traffic.external_bytes(output),
        working_set_bytes=traffic.distinct_bytes(),
        items=items,
        item_unit=unit,
        headline=headline or ("flops" if flops else "bytes"),
        convention=CONVENTION,
        source=f"Counted by torch {torch.__version__} in one call {where}.",
        estimated=True,
        uncounted_reason=f"no formula for {', '.join(uncounted)}" if uncounted else None,
    )


def _is_uncounted(name: str, known: set[str]) -> bool:
    """Operators of others are named too: nobody knows what they do."""
    return name not in known and ("::" in name or _PRODUCTS.search(name) is not None)


def _items(inputs: Sequence[Any]) -> tuple[int, str]:
    """Rows of the first input: tokens where it holds integers in two dimensions."""
    first = next((value for value in inputs if isinstance(value, Tensor)), None)
    if first is None or not first.dim():
        return 1, "calls"
    if first.dim() == 2 and not (first.is_floating_point() or first.is_complex()):
        return first.numel(), "tokens"
    return first.shape[0], "samples"
