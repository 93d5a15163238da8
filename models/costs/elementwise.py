"""Elementwise arithmetic: configurations and cost."""

from __future__ import annotations

from ...specs.cost import Cost
from ..family import Configuration, Family, Params
from .sizes import BYTES, element_bytes, integer, text

OPERATIONS = ("add", "gelu", "silu-mul", "rotary")

CONVENTION = (
    "An addition, multiplication, comparison or division is one operation of the vector "
    "engine; an exponential or error function is one evaluation of the scalar engine. An "
    "element costs: add 1; gelu x/2*(1+erf(x/sqrt 2)) 4 and 1; silu-mul x/(1+exp(-x))*u 4 and "
    "1; rotary x1*c-x2*s and x2*c+x1*s 3. bytes_moved: operands and result of each PyTorch "
    "call (silu-mul: silu, mul; rotary: neg, cat, mul, mul, add). bytes_useful and the working "
    "set: inputs and result once, which is what a fused program moves. Items are elements of "
    "the result."
)
SOURCE = (
    "Counted from the definitions: GELU, Hendrycks and Gimpel, arXiv 1606.08415; SwiGLU, "
    "Shazeer, arXiv 2002.05202; rotary embedding, Su et al., arXiv 2104.09864."
)

#: Vector and scalar operations of one element of the result.
_OPERATIONS_PER_ELEMENT = {"add": (1, 0), "gelu": (4, 1), "silu-mul": (4, 1), "rotary": (3, 0)}


def cost(params: Params, dtype: str) -> Cost:
    operation = text(params, "op", OPERATIONS)
    if operation == "rotary":
        batch, heads, sequence, width = (
            integer(params, name) for name in ("batch", "heads", "sequence", "width")
        )
        count = batch * heads * sequence * width
        tables = 2 * sequence * width
        # neg half and half, cat 2, two mul of 2 with one table each, add 3
        moved, useful = 10 * count + tables, 2 * count + tables
    else:
        count = integer(params, "rows") * integer(params, "columns")
        moved, useful = {
            "add": (3 * count, 3 * count),
            "gelu": (2 * count, 2 * count),
            "silu-mul": (5 * count, 3 * count),
        }[operation]
    vector, scalar = _OPERATIONS_PER_ELEMENT[operation]
    size = element_bytes(dtype)
    return Cost(
        flops=0,
        flops_counted=0,
        vector_flops=vector * count,
        scalar_flops=scalar * count,
        bytes_moved=size * moved,
        bytes_useful=size * useful,
        working_set_bytes=size * useful,
        items=count,
        item_unit="elements",
        headline=BYTES,
        convention=CONVENTION,
        source=SOURCE,
    )


_DTYPES = ("fp32", "bf16", "fp16")


def _matrix(
    operation: str,
    rows: int,
    columns: int,
    quick: tuple[str, ...],
    standard: tuple[str, ...] = ("fp32", "bf16"),
) -> Configuration:
    params: Params = {"op": operation, "rows": rows, "columns": columns}
    name = f"{operation}-{rows}x{columns}"
    return Configuration(name, params, _DTYPES, quick, standard)


FAMILY = Family(
    name="elementwise",
    summary="add, gelu, silu times a gate, rotary position embedding",
    phase="forward",
    configurations=(
        _matrix("add", 512, 1024, ("fp32", "bf16")),
        _matrix("add", 4096, 4096, (), ("fp32", "fp32:compiled", "bf16")),
        _matrix(
            "gelu",
            512,
            1024,
            ("fp32", "bf16", "fp32:compiled"),
            ("fp32", "bf16", "fp32:compiled"),
        ),
        _matrix("gelu", 2048, 4096, (), ("fp32", "fp32:compiled", "bf16", "bf16:compiled")),
        _matrix("silu-mul", 512, 1024, ("fp32",)),
        _matrix("silu-mul", 2048, 4096, (), ("fp32", "fp32:compiled", "bf16", "bf16:compiled")),
        Configuration(
            "rotary-8x512x64",
            {"op": "rotary", "batch": 1, "heads": 8, "sequence": 512, "width": 64},
            _DTYPES,
            quick=("bf16",),
            standard=("fp32", "fp32:compiled", "bf16"),
        ),
        Configuration(
            "rotary-32x2048x128",
            {"op": "rotary", "batch": 1, "heads": 32, "sequence": 2048, "width": 128},
            _DTYPES,
            standard=("fp32", "fp32:compiled", "bf16", "bf16:compiled"),
        ),
    ),
    program="trnbench.models.elementwise:make_program",
    cost=cost,
    # Two roundings in a row where the operators run one by one.
    error_bound={"bf16": 1.2e-2},
)
