"""Traffic without arithmetic worth the name: configurations and cost."""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import BYTES, element_bytes, integer, text

#: Operation to the number of tensors in its working set.
TENSORS = {"copy": 2, "triad": 3, "fill": 1, "transpose": 2}

#: Rows of each tensor; the columns follow from the working set.
ROWS = 256

CONVENTION = (
    "Each source read once and the destination written once, as STREAM counts; the line that "
    "a cache reads before it writes (write allocate) isn't counted. Triad is a + s*b, two "
    "operations of the vector engine an element. Items are elements of the destination."
)
SOURCE = (
    "McCalpin, Memory bandwidth and machine balance in current high performance computers, "
    "IEEE TCCA newsletter, 1995 (copy and triad); fill and transpose counted the same way."
)


def shape(params: Params, dtype: str) -> tuple[int, int]:
    """Rows and columns of each tensor: the working set shared out evenly.

    ``ValueError`` for a working set that can't be."""
    tensors = TENSORS[text(params, "op", tuple(TENSORS))]
    set_bytes = integer(params, "set_bytes")
    columns, rest = divmod(set_bytes, tensors * ROWS * element_bytes(dtype))
    if rest:
        raise ValueError(
            f"parameter 'set_bytes' must be a multiple of {tensors * ROWS * element_bytes(dtype)} "
            f"({tensors} tensors of {ROWS} rows in {dtype}), not {set_bytes}"
        )
    return ROWS, columns


def cost(params: Params, dtype: str) -> Cost:
    rows, columns = shape(params, dtype)
    set_bytes = integer(params, "set_bytes")
    count = rows * columns
    return Cost(
        flops=0,
        flops_counted=0,
        vector_flops=2 * count if params["op"] == "triad" else 0,
        bytes_moved=set_bytes,
        bytes_useful=set_bytes,
        working_set_bytes=set_bytes,
        items=count,
        item_unit="elements",
        headline=BYTES,
        convention=CONVENTION,
        source=SOURCE,
    )


_KIB = 1024
_MIB = 1024 * _KIB

#: Small enough for one core's L2; for a server's L3 and beyond any L2; for main memory only,
#: on most machines: which level holds it is worked out per machine, and so not in the name.
_SETS = {
    "384KiB": 384 * _KIB,
    "12MiB": 12 * _MIB,
    "192MiB": 192 * _MIB,
}


def _configuration(
    operation: str, size: str, quick: tuple[str, ...], standard: tuple[str, ...] = ("fp32", "bf16")
) -> Configuration:
    return Configuration(
        f"{operation}-{size}",
        {"op": operation, "set_bytes": _SETS[size]},
        dtypes=("fp32", "bf16", "fp16"),
        quick=quick,
        standard=standard,
    )


FAMILY = Family(
    name="memory",
    summary="copy, triad, fill and transpose of working sets in L2, in L3 and in main memory",
    phase="forward",
    configurations=(
        _configuration("copy", "384KiB", ("fp32", "bf16")),
        _configuration("copy", "12MiB", ()),
        _configuration("copy", "192MiB", ("fp32",)),
        _configuration("triad", "384KiB", ()),
        _configuration("triad", "12MiB", ("fp32",), ("fp32", "fp32:compiled", "bf16")),
        _configuration("triad", "192MiB", ()),
        _configuration("fill", "384KiB", ()),
        _configuration("fill", "12MiB", ("fp32",)),
        _configuration("fill", "192MiB", ()),
        _configuration("transpose", "384KiB", ()),
        _configuration("transpose", "12MiB", ("fp32",)),
        _configuration("transpose", "192MiB", ()),
    ),
    program="trnbench.models.memory:make_program",
    cost=cost,
    # Copies are exact, and triad rounds once or twice: 2^-24 each.
    error_bound={"fp32": 2.5e-7},
)
