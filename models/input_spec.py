"""What the inputs of a model look like, in one word each: ``8x128``, ``1x512:int64<32000``.

Imports no torch: a command line reads it, and the process that draws the values reads it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

FLOATING = ("fp32", "bf16", "fp16")
#: Dtype of integers -> the largest bound that inputs of it may have.
INTEGERS = {"int64": 2**63 - 1, "int32": 2**31, "int16": 2**15, "int8": 2**7, "uint8": 2**8}
BOOL = "bool"
INPUT_DTYPES = (*FLOATING, *INTEGERS, BOOL)

EXAMPLES = "8x128, 8x3x224x224:fp32, '1x512:int64<32000', 1x512:bool"
_FORM = re.compile(
    r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>\d+(?:x\d+)*)(?::(?P<dtype>\w+))?(?:<(?P<bound>\d+))?"
)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input tensor.

    ``dtype`` None is that of the case; integers are below ``bound``, from 0 on. ``name`` is the
    argument that it is handed to, None for the next in order.
    """

    shape: tuple[int, ...]
    dtype: str | None = None
    bound: int | None = None
    name: str | None = None

    def __str__(self) -> str:
        """The one spelling that equal inputs have."""
        name = "" if self.name is None else f"{self.name}="
        dtype = "" if self.dtype is None else f":{self.dtype}"
        bound = "" if self.bound is None else f"<{self.bound}"
        return f"{name}{'x'.join(map(str, self.shape))}{dtype}{bound}"


def read_input(given: str) -> InputSpec:
    """``[NAME=]SHAPE[:DTYPE][<BOUND]`` as a spec; ``ValueError`` says what was wrong."""
    found = _FORM.fullmatch(given.replace(" ", ""))
    if found is None:
        raise _unreadable(given, "wanted SHAPE, SHAPE:DTYPE or SHAPE:DTYPE<BOUND")
    shape = tuple(int(size) for size in found["shape"].split("x"))
    if 0 in shape:
        raise _unreadable(given, "every size must be 1 or more")
    dtype, bound = found["dtype"], None if found["bound"] is None else int(found["bound"])
    if bound is not None and dtype is None:
        dtype = "int64"
    if dtype is not None and dtype not in INPUT_DTYPES:
        raise _unreadable(given, f"unknown dtype '{dtype}'; known: {', '.join(INPUT_DTYPES)}")
    if dtype in INTEGERS:
        largest = INTEGERS[dtype]
        if bound is None:
            example = InputSpec(shape, dtype, min(32000, largest))
            raise _unreadable(given, f"integers need a bound, as in '{example}'")
        if not 1 <= bound <= largest:
            raise _unreadable(given, f"the bound of {dtype} must lie from 1 to {largest}")
    elif bound is not None:
        raise _unreadable(given, f"only integers have a bound, and {dtype} has none")
    return InputSpec(shape, dtype, bound, found["name"])


def read_inputs(given: Iterable[str]) -> tuple[InputSpec, ...]:
    """All inputs in order; ``ValueError`` for one that follows a named one without a name, as
    Python has it, or for a name given twice."""
    specs = tuple(read_input(one) for one in given)
    names = [spec.name for spec in specs]
    named = [name for name in names if name is not None]
    if None in names[len(names) - len(named) :]:
        raise ValueError(
            f"inputs {' '.join(map(str, specs))}: those without a name come first, in the order of "
            "the call; then NAME=SHAPE"
        )
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise ValueError(f"input '{twice[0]}' is given twice; each argument takes one")
    return specs


def _unreadable(given: str, why: str) -> ValueError:
    return ValueError(f"input '{given}': {why}; such as {EXAMPLES}")
