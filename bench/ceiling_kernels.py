"""The operators whose best speed is taken for what a device attains.

A ceiling is no benchmark of one operator: whichever of the candidates is fastest is the
figure, and its name is kept. Outputs are allocated once, where torch lets them be.

Conventions of bytes: a read counts each operand once; a copy counts what it reads and what it
writes; a triad (a = b + s c) counts three operands. Lines that a cache fetches only because
they are going to be written (write-allocate) are not counted, so an operator that updates its
operand in place, which needs no such fetch, attains more than one that writes elsewhere: on
main memory up to twice as much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..backends.protocol import Call
from ..models.program import TORCH_DTYPES
from .ceiling_sweep import Traffic


@dataclass(frozen=True, slots=True)
class Transfer:
    """One operator on fp32 operands of equal size.

    ``operands`` make up the working set; ``moved`` operands are read or written by a call.
    """

    traffic: Traffic
    name: str
    operands: int
    moved: int
    make: Callable[[list[Tensor]], Call]


@dataclass(frozen=True, slots=True)
class Product:
    """One way to multiply (m, k) by (k, n); ``make`` gets the factor and the weight, which is
    laid out as (n, k), as ``torch.nn.Linear`` keeps it, or as (k, n)."""

    name: str
    weight_is_transposed: bool
    make: Callable[[Tensor, Tensor], Call]


def _read_by_dot(x: list[Tensor]) -> Call:
    a, b = x
    return lambda: torch.dot(a, b)


def _read_by_sum(x: list[Tensor]) -> Call:
    (a,) = x
    return lambda: torch.sum(a)


def _read_by_product(x: list[Tensor]) -> Call:
    """The operand as a matrix of about sixteen times as many columns as rows."""
    (a,) = x
    rows = 1
    while rows * rows * 16 <= a.numel():
        rows *= 2
    columns = a.numel() // rows
    matrix = a[: rows * columns].view(rows, columns)
    vector, out = a.new_ones(columns), a.new_empty(rows)
    return lambda: torch.mv(matrix, vector, out=out)


def _copy(x: list[Tensor]) -> Call:
    a, b = x
    return lambda: b.copy_(a)


def _copy_by_negation(x: list[Tensor]) -> Call:
    a, b = x
    return lambda: torch.neg(a, out=b)


def _copy_by_concatenation(x: list[Tensor]) -> Call:
    a, b = x
    return lambda: torch.cat([a], out=b)


def _negate_in_place(x: list[Tensor]) -> Call:
    (a,) = x
    return a.neg_


def _add(x: list[Tensor]) -> Call:
    a, b, c = x
    return lambda: torch.add(a, b, out=c)


def _add_scaled(x: list[Tensor]) -> Call:
    a, b, c = x
    return lambda: torch.add(a, b, alpha=0.5, out=c)


def _add_in_place(x: list[Tensor]) -> Call:
    a, b = x
    # A small factor: the sum must not grow to infinity over a million calls.
    return lambda: a.add_(b, alpha=1e-30)


#: ``torch.dot`` reads two streams in one vectorised loop; ``torch.sum`` is bound by its arithmetic
#: within a CPU's caches and good on accelerators; ``mv`` reads a matrix once. ``torch.cat`` on
#: one thread copies with the C library's ``memcpy``, whose streaming stores spare the fetch of
#: what is to be written.
TRANSFERS = (
    Transfer("read", "dot", operands=2, moved=2, make=_read_by_dot),
    Transfer("read", "sum", operands=1, moved=1, make=_read_by_sum),
    Transfer("read", "mv", operands=1, moved=1, make=_read_by_product),
    Transfer("copy", "copy_", operands=2, moved=2, make=_copy),
    Transfer("copy", "neg", operands=2, moved=2, make=_copy_by_negation),
    Transfer("copy", "cat", operands=2, moved=2, make=_copy_by_concatenation),
    Transfer("copy", "neg_", operands=1, moved=2, make=_negate_in_place),
    Transfer("triad", "add", operands=3, moved=3, make=_add),
    Transfer("triad", "add alpha", operands=3, moved=3, make=_add_scaled),
    Transfer("triad", "add_", operands=2, moved=3, make=_add_in_place),
)


def _multiply(a: Tensor, b: Tensor) -> Call:
    out = a.new_empty((a.shape[0], b.shape[1]))
    return lambda: torch.mm(a, b, out=out)


def _multiply_linear(a: Tensor, w: Tensor) -> Call:
    return lambda: torch.nn.functional.linear(a, w)


def _multiply_integers(a: Tensor, b: Tensor) -> Call:
    return lambda: torch._int_mm(a, b)  # noqa: SLF001 - torch has no public one


_FLOATS = (Product("mm", False, _multiply), Product("linear", True, _multiply_linear))
#: With accumulation in int32.
_INTEGERS = (
    Product("_int_mm", False, _multiply_integers),
    Product("_int_mm transposed", True, lambda a, w: _multiply_integers(a, w.t())),
)


def products(dtype: str) -> tuple[Product, ...]:
    """The candidates for one dtype."""
    return _INTEGERS if dtype == "int8" else _FLOATS


def factors(dtype: str, shape: tuple[int, int, int], *, transposed: bool) -> tuple[Tensor, Tensor]:
    """(m, k) and (k, n), or (n, k) if ``transposed``, on the CPU: random, of one seed, since
    zeros cost a device less power than real data."""
    m, k, n = shape
    generator = torch.Generator().manual_seed(0)
    sizes = ((m, k), (n, k) if transposed else (k, n))
    if dtype == "int8":
        drawn = [torch.randint(-64, 64, s, generator=generator, dtype=torch.int8) for s in sizes]
    else:
        drawn = [
            torch.rand(s, generator=generator).sub_(0.5).to(TORCH_DTYPES[dtype]) for s in sizes
        ]
    return drawn[0], drawn[1]
