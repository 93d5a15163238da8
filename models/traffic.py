"""Bytes that operators touch, added up as torch dispatches them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.functional import scaled_dot_product_attention
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Operators that read as many rows of their first operand as their result has.
_LOOKUPS = frozenset(
    {"embedding", "index", "_unsafe_index", "gather", "index_select", "take", "take_along_dim"}
)
#: In-place operators that touch as many rows of their first operand as their last one has.
_ROW_WRITES = frozenset(
    {"index_put_", "_index_put_impl_", "index_copy_", "index_add_", "scatter_", "scatter_add_"}
)
#: In-place operators that write and don't read.
_OVERWRITES = frozenset(
    {"copy_", "fill_", "zero_", "normal_", "uniform_", "bernoulli_", "random_", "exponential_"}
)
#: Names of memory that nothing has touched yet.
_UNTOUCHED = frozenset(
    {"empty", "empty_strided", "empty_like", "new_empty", "new_empty_strided", "set_", "resize_"}
)
#: Namespaces of operators that ask about tensors, or mark a place in the code.
_NO_WORK = frozenset({"prim", "prims", "profiler"})


@contextmanager
def watched_traffic() -> Iterator[Traffic]:
    """Counts what runs inside. Attention and an optimizer's step are one operator each."""
    traffic = Traffic()
    hooks = (
        register_optimizer_step_pre_hook(traffic.silence),
        register_optimizer_step_post_hook(traffic.add_update),
    )
    try:
        with _Attention(traffic), traffic:
            yield traffic
    finally:
        for hook in hooks:
            hook.remove()


def _key(tensor: Tensor) -> int:
    """Equal for views of one storage, on the meta device as well."""
    key: int = tensor.untyped_storage()._cdata  # noqa: SLF001 - there is no public name for it
    return key


def _bytes(tensor: Tensor) -> int:
    """Bytes of the distinct elements: what is expanded lies in memory once."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.element_size() * math.prod(
        size if stride else min(size, 1) for size, stride in sizes
    )


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes that operators touch.

    ``moved``: operands read and results written, per operator. ``unneeded_flops``: of causal
    attention, those of the pairs that nobody needs. ``operators``: their names. What was there
    before the call (inputs, weights, state) is told from what the call makes by its storage.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.moved = 0
        self.unneeded_flops = 0
        self.operators: set[str] = set()
        self.peak = 0
        self._silent = 0
        #: Storages made in the call. The weak references keep their addresses from being used
        #: again for another one.
        self._made: dict[int, tuple[StorageWeakRef, int]] = {}
        self._alive = 0
        self._read: dict[int, dict[Any, int]] = {}
        self._written: dict[int, dict[Any, int]] = {}
        self._whole: dict[int, int] = {}

    @contextmanager
    def silenced(self) -> Iterator[None]:
        """What runs inside moves nothing: its bytes are counted as one operator's."""
        self.silence()
        try:
            yield
        finally:
            self.sound()

    def silence(self, *_: Any) -> None:
        self._silent += 1

    def sound(self, *_: Any) -> None:
        self._silent -= 1

    def __torch_dispatch__(
        self,
        operator: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = operator(*args, **(kwargs or {}))
        schema = operator._schema  # noqa: SLF001 - the only word on what is written
        namespace, _, name = schema.name.partition("::")
        self._note_results(_tensors((args, kwargs)), _tensors(result))
        if namespace not in _NO_WORK and not operator.is_view:
            self.operators.add(name if namespace == "aten" else schema.name)
        if self._silent or operator.is_view or name in _UNTOUCHED:
            return result
        arguments = [*args, *((kwargs or {}).get(a.name) for a in schema.arguments[len(args) :])]
        read, written = [], []
        for argument, value in zip(schema.arguments, arguments, strict=False):
            tensors = _tensors(value)
            if argument.alias_info is not None and argument.alias_info.is_write:
                written += tensors
                if argument.kwarg_only or name in _OVERWRITES:
                    continue
            read += tensors
        touched = {_key(tensor) for tensor in (*read, *written)}
        results = [tensor for tensor in _tensors(result) if _key(tensor) not in touched]
        if not results and not written:
            return result  # a view that its schema doesn't call one, or a number
        self.add(name, read, written, results)
        return result

    def add(
        self, name: str, read: list[Tensor], written: list[Tensor], results: list[Tensor]
    ) -> None:
        if name in _LOOKUPS and results:
            table, *rest = read
            self._touch(self._read, table, sum(map(_bytes, results)))
            read = rest
        elif name in _ROW_WRITES and len(read) > 1:
            table, *rest = read
            rows = _bytes(rest[-1])
            if name.startswith(("index_add", "scatter_add")):
                self._touch(self._read, table, rows)
            self._touch(self._written, table, rows)
            read, written = rest, []
        for tensor in read:
            self._touch(self._read, tensor)
        for tensor in (*written, *results):
            self._touch(self._written, tensor)

    def add_update(self, optimizer: Optimizer, *_: Any) -> None:
        """An optimizer's step in one pass, whichever of its variants a device gets."""
        self.sound()
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                kept = [parameter, *_tensors(dict(optimizer.state[parameter]))]
                self.add("optimizer", [parameter.grad, *kept], kept, [])

    def keep(self, result: Tensor) -> None:
        """What was made in silence and stays."""
        key, size = _key(result), result.untyped_storage().nbytes()
        if key in self._made:
            self._alive += size - self._made[key][1]
            self._made[key] = self._made[key][0], size
            self._note_peak()

    def _touch(
        self, kind: dict[int, dict[Any, int]], tensor: Tensor, rows_bytes: int | None = None
    ) -> None:
        """Bytes of a tensor, or of so many bytes of its rows that nobody can name."""
        size = _bytes(tensor) if rows_bytes is None else rows_bytes
        self.moved += size
        key = _key(tensor)
        if key in self._made:
            return
        self._whole[key] = tensor.untyped_storage().nbytes()
        regions = kind.setdefault(key, {})
        region = (
            (tensor.storage_offset(), tensor.shape, tensor.stride())
            if rows_bytes is None
            else ("rows", len(regions))
        )
        regions[region] = size

    def _note_results(self, operands: list[Tensor], results: list[Tensor]) -> None:
        before = {_key(tensor) for tensor in operands}
        for tensor in results:
            key = _key(tensor)
            if key in before or key in self._made:
                continue
            size = 0 if self._silent else tensor.untyped_storage().nbytes()
            reference = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
            self._made[key] = reference, size
            self._alive += size
        self._note_peak()

    def _note_peak(self) -> None:
        # One in a hundred more may go unseen, so that a long call isn't walked at every step.
        if self._alive > 1.01 * self.peak:
            gone = [
                key
                for key, (reference, _) in self._made.items()
                if reference.expired()  # type: ignore[no-untyped-call]
            ]
            self._alive -= sum(self._made.pop(key)[1] for key in gone)
            self.peak = max(self.peak, self._alive)

    def _external(self, kind: dict[int, dict[Any, int]]) -> dict[int, int]:
        return {key: min(self._whole[key], sum(kind[key].values())) for key in kind}

    def external_bytes(self, output: Any) -> int:
        """Bytes of what lay there before the call, read and written once each, and of the output."""
        made = {_key(tensor): _bytes(tensor) for tensor in _tensors(output)}
        results = sum(size for key, size in made.items() if key in self._made)
        return results + sum(
            sum(self._external(kind).values()) for kind in (self._read, self._written)
        )

    def distinct_bytes(self) -> int:
        """Bytes of all that was touched, and of intermediate results the most alive at a time."""
        read, written = self._external(self._read), self._external(self._written)
        keys = read.keys() | written.keys()
        return self.peak + sum(max(read.get(key, 0), written.get(key, 0)) for key in keys)


class _Attention(TorchFunctionMode):
    """Counts the bytes of scaled dot product attention as those of one operator, as its fused
    kernels move them, and the FLOPs that a causal one doesn't need."""

    def __init__(self, traffic: Traffic) -> None:
        super().__init__()
        self.traffic = traffic

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if function is not scaled_dot_product_attention:
            return function(*args, **given)
        with self.traffic.silenced():
            output = function(*args, **given)
        self.traffic.keep(output)
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given |= dict(zip(names, args, strict=False))
        query, keys, value = (given[name] for name in ("query", "key", "value"))
        trains = output.grad_fn is not None
        self._add_bytes([query, keys, value], given.get("attn_mask"), output, trains=trains)
        if given.get("is_causal"):
            rows, columns = query.shape[-2], keys.shape[-2]
            short = min(rows, columns)
            needed = short * (short + 1) // 2 + (rows - short) * columns
            batch = math.prod(query.shape[:-2])
            width = query.shape[-1] + value.shape[-1]
            work = 2 * batch * (rows * columns - needed) * width
            self.traffic.unneeded_flops += work * (3 if trains else 1)
        if trains:
            self._silence_backward(output, [query, keys, value])
        return output

    def _add_bytes(
        self, operands: list[Tensor], mask: Tensor | None, output: Tensor, *, trains: bool
    ) -> None:
        traffic = self.traffic
        read = operands if mask is None else [*operands, mask]
        traffic.add("attention", read, [], [output])
        if trains:
            # Backward: operands, result and its gradient are read, three gradients written.
            once = sum(map(_bytes, operands))
            traffic.moved += 2 * (once + _bytes(output))

    def _silence_backward(self, output: Tensor, operands: list[Tensor]) -> None:
        """The backward pass of the kernel lies between the gradient of its output and those of
        its operands."""
        ends = {tensor.grad_fn for tensor in operands if tensor.grad_fn is not None}
        waiting, seen = [output.grad_fn], set(ends)
        while waiting:
            node = waiting.pop()
            # A leaf's node adds up gradients; it has no next ones and belongs to the leaf.
            if node is None or node in seen or not node.next_functions:
                continue
            seen.add(node)
            node.register_prehook(self.traffic.silence)
            node.register_hook(self.traffic.sound)
            waiting += [after for after, _ in node.next_functions]
