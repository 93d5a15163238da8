"""The object behind the fixture ``bench``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import UsageError

if TYPE_CHECKING:
    from .fixture_child import FixtureChild
    from .stated_cost import StatedCost


class Bench:
    """``bench(fn, *inputs, cost=None, dtype=None)`` calls ``fn(*inputs)``, measures it where
    the run was asked to, and returns the value of one call.

    - ``fn``: a function of tensors, or a module. With ``inputs`` it is placed on the device,
      the tensors too; without them it is called as it is, wherever it runs.
    - ``cost``: what one call costs: a ``trnbench.specs.cost.Cost``, or a mapping of the figures
      that are known, such as ``{"flops": 2 * n**3, "bytes_moved": 12 * n**2}``. Without it the
      time is reported, and no fraction of a roof.
    - ``dtype``: what it computes in ("fp32", "bf16", ...), for the roof; nothing is converted.
      By default that of the first floating point tensor among inputs and parameters.
    - ``mode``: "eager" (or what the backend has instead) or "compiled"; ``backend``: its name,
      by default the first of ``--bench-backend``, or "cpu".

    One test measures one thing: a second call raises ``UsageError``.
    """

    def __init__(self, nodeid: str, child: FixtureChild | None) -> None:
        self._nodeid = nodeid
        self._child = child
        self._used = False

    def __call__(
        self,
        function: Callable[..., Any],
        *inputs: Any,
        cost: StatedCost | None = None,
        dtype: str | None = None,
        mode: str | None = None,
        backend: str | None = None,
    ) -> Any:
        if self._used:
            raise UsageError(
                f"bench was called twice in {self._nodeid}; a test measures one thing: "
                "parametrize it, or write a second test"
            )
        self._used = True
        if not callable(function):
            raise UsageError(
                f"bench was given {type(function).__name__}, a function or module wanted; to "
                "measure an expression, write bench(lambda: expression)"
            )
        if self._child is None:
            return function(*inputs)
        return self._child.measure(function, inputs, cost, dtype, mode, backend)
