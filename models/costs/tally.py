"""Sums the work of a model's operators, in the order in which its program runs them.

The conventions of the models' costs, stated once:

- A multiply-add is two. The backward pass of a product is two products of the same size, one for
  each operand that needs a gradient.
- Causal attention needs the pairs of a query with the keys up to it; ``flops_counted`` has the
  whole square, as torch's FlopCounterMode counts the math kernel.
- Projection, normalisation, rotation, attention, activation, addition and loss are an operator
  each, whatever a stack splits them into: operands are read once and the result is written once.
- An addition, multiplication, comparison or division is an operation of the vector engine; an
  exponential, root, logarithm or hyperbolic tangent is one of the scalar engine.

Sources: the definitions of the operators (see the families of the same names in this folder);
backward passes by differentiating them by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

from .sizes import INDEX_BYTES, element_bytes

CONVENTION = (
    "A multiply-add is two; causal attention counts the pairs that are needed. Each projection, "
    "normalisation, rotation, attention, activation, addition and loss is one operator. The "
    "backward pass of a product is a product of the same size for each operand that needs a "
    "gradient. "
)


@dataclass(slots=True)
class Tally:
    """Work so far. ``training`` counts the backward pass of each operator with its forward pass.

    Figures are those of ``Cost``; ``moved`` is ``bytes_moved``. ``dtype`` is that of operands
    and results.
    """

    dtype: str
    training: bool = False
    flops: int = 0
    flops_counted: int = 0
    vector: int = 0
    scalar: int = 0
    moved: int = 0

    def add(self, other: Tally, times: int = 1) -> None:
        """``times`` blocks that are alike."""
        self.flops += times * other.flops
        self.flops_counted += times * other.flops_counted
        self.vector += times * other.vector
        self.scalar += times * other.scalar
        self.moved += times * other.moved

    def _move(self, elements: int, dtype: str | None = None) -> None:
        self.moved += element_bytes(dtype or self.dtype) * elements

    # ------------------------------------------------------------------ products

    def linear(
        self, rows: int, inner: int, outer: int, *, bias: bool = False, input_gradient: bool = True
    ) -> None:
        """``rows`` times a weight of ``outer`` by ``inner``."""
        passes = 1 + (1 + input_gradient if self.training else 0)
        self.flops += passes * 2 * rows * inner * outer
        self.flops_counted += passes * 2 * rows * inner * outer
        self._move(passes * (rows * inner + inner * outer + rows * outer))
        if bias:
            # Added in the forward pass; summed over the rows in the backward pass.
            self.vector += (2 if self.training else 1) * rows * outer
            self._move(outer + (rows * outer + outer if self.training else 0))

    def grouped_linear(self, rows: int, inner: int, outer: int, weights: int, used: int) -> None:
        """``rows`` times one of ``weights`` each, ``used`` of which have any rows. The gradients
        of the others are written too."""
        passes = 3 if self.training else 1
        self.flops += passes * 2 * rows * inner * outer
        self.flops_counted += passes * 2 * rows * inner * outer
        self._move(passes * rows * (inner + outer) + used * inner * outer)
        if self.training:
            self._move((used + weights) * inner * outer)

    def products(self, batch: int, rows: int, inner: int, outer: int) -> None:
        """``batch`` products of operands that both need a gradient."""
        passes = 3 if self.training else 1
        work = passes * 2 * batch * rows * inner * outer
        self.flops += work
        self.flops_counted += work
        self._move(passes * batch * (rows * inner + inner * outer + rows * outer))

    def attention(
        self,
        batch: int,
        heads: int,
        kv_heads: int,
        queries: int,
        keys: int,
        width: int,
        *,
        causal: bool = False,
        needed_pairs: int | None = None,
    ) -> None:
        """Softmax(Q K^T / sqrt d) V by one kernel: no pair leaves the chip.

        ``causal``: the queries are the last of the keys. ``needed_pairs`` of one head, where
        neither that nor every pair is what is needed (padding, a window).
        """
        pairs = queries * keys
        if needed_pairs is None:
            first = keys - queries
            needed_pairs = queries * first + queries * (queries + 1) // 2 if causal else pairs
        passes = 3 if self.training else 1
        self.flops += passes * 4 * batch * heads * needed_pairs * width
        self.flops_counted += passes * 4 * batch * heads * pairs * width
        # Scaling, maximum, subtraction, sum, division; backward: two products and a sum, and the
        # weights once more from what was kept.
        self.vector += (5 + (9 if self.training else 0)) * batch * heads * needed_pairs
        self.scalar += (2 if self.training else 1) * batch * heads * needed_pairs
        operands = 2 * batch * heads * queries * width + 2 * batch * kv_heads * keys * width
        # Backward: all of them and the result's gradient read, three gradients written.
        self._move(operands * (3 if self.training else 1))

    # ------------------------------------------------------------------ images

    def convolution(
        self,
        pixels: int,
        result_pixels: int,
        channels: int,
        results: int,
        kernel: int,
        *,
        input_gradient: bool = True,
    ) -> None:
        """``kernel`` squared, without groups or bias; pixels are those of all images."""
        passes = 1 + (1 + input_gradient if self.training else 0)
        weights = channels * results * kernel * kernel
        self.flops += passes * 2 * result_pixels * weights
        self.flops_counted += passes * 2 * result_pixels * weights
        self._move(passes * (pixels * channels + weights + result_pixels * results))

    def batch_norm(self, pixels: int, channels: int) -> None:
        """By the running statistics: a scale and a shift. In training by those of the batch, of
        which the running ones keep an average."""
        if not self.training:
            self.vector += channels * (2 * pixels + 4)
            self.scalar += channels
            self._move(channels * (2 * pixels + 4))
            return
        self.vector += channels * (7 * pixels + 7) + 12 * channels * pixels
        self.scalar += channels
        self._move(channels * (2 * pixels + 8) + channels * (3 * pixels + 5))

    def relu(self, elements: int) -> None:
        self.elementwise(elements, vector=1, backward_vector=1)

    def max_pool(self, elements: int, results: int, window: int) -> None:
        """Backward by the places of the maxima, which the forward pass writes as indices."""
        self.vector += (window - 1) * results
        self._move(elements + results)
        if self.training:
            self.vector += results
            self._move(results + elements)
            self.moved += 2 * INDEX_BYTES * results

    def mean_pool(self, pixels: int, channels: int, images: int) -> None:
        """One mean an image and channel."""
        passes = 2 if self.training else 1
        self.vector += (pixels + (passes - 1) * images) * channels
        self._move(passes * (pixels + images) * channels)

    # ------------------------------------------------------------------ rows and elements

    def rms_norm(self, rows: int, width: int) -> None:
        self.vector += rows * (4 * width + 1)
        self.scalar += rows
        self._move(2 * rows * width + width)
        if self.training:
            self.vector += 9 * rows * width
            self._move(3 * rows * width + 2 * width)

    def layer_norm(self, rows: int, width: int) -> None:
        self.vector += rows * (7 * width + 1)
        self.scalar += rows
        self._move(2 * rows * width + 2 * width)
        if self.training:
            self.vector += 12 * rows * width
            self._move(3 * rows * width + 3 * width)

    def addition(self, elements: int) -> None:
        """A residual: the sum of two gradients in the backward pass."""
        passes = 2 if self.training else 1
        self.vector += passes * elements
        self._move(passes * 3 * elements)

    def gated_addition(self, elements: int) -> None:
        """A residual of which a part is scaled by few numbers, which stay on the chip. Backward:
        two products, the sum of one of them, and that of two gradients."""
        self.vector += (2 + (4 if self.training else 0)) * elements
        self._move((3 + (6 if self.training else 0)) * elements)

    def elementwise(
        self,
        elements: int,
        *,
        reads: int = 1,
        vector: int = 0,
        scalar: int = 0,
        backward_vector: int = 0,
        backward_scalar: int = 0,
        dtype: str | None = None,
    ) -> None:
        """An operator on ``reads`` operands; backward it reads them and the gradient of the
        result, and writes a gradient of each."""
        self.vector += vector * elements
        self.scalar += scalar * elements
        self._move((reads + 1) * elements, dtype)
        if self.training:
            self.vector += backward_vector * elements
            self.scalar += backward_scalar * elements
            self._move((2 * reads + 1) * elements, dtype)

    def rotation(self, rows: int, width: int) -> None:
        """Rotary positions of ``rows`` heads; the tables are small and stay on the chip."""
        self.elementwise(rows * width, vector=3, backward_vector=3)

    def gated_silu(self, elements: int) -> None:
        """silu(gate) * up."""
        self.elementwise(
            elements, reads=2, vector=4, scalar=1, backward_vector=10, backward_scalar=1
        )

    def silu(self, elements: int) -> None:
        self.elementwise(elements, vector=3, scalar=1, backward_vector=8, backward_scalar=1)

    def clamped_gate(self, elements: int) -> None:
        """A gate with a slope a: gate sigmoid(a gate) (up + 1), both cut off (gpt-oss)."""
        self.elementwise(
            elements, reads=2, vector=9, scalar=1, backward_vector=17, backward_scalar=1
        )

    def gelu(self, elements: int) -> None:
        """By error function or by hyperbolic tangent, which is counted: x/2 (1 + tanh(c (x + k
        x^3)))."""
        self.elementwise(elements, vector=8, scalar=1, backward_vector=14, backward_scalar=1)

    def copy(self, elements: int) -> None:
        """A write to a part of a cache, of what is read from elsewhere."""
        self._move(2 * elements)

    def gather(self, rows: int, width: int, table_rows: int) -> None:
        """Rows of a table by index. Backward: the table's gradient is cleared, and the rows are
        added to it."""
        self.moved += INDEX_BYTES * rows
        self._move(2 * rows * width)
        if self.training:
            self.vector += rows * width
            self.moved += INDEX_BYTES * rows
            self._move(table_rows * width + 3 * rows * width)

    def gathered_sum(self, rows: int, each: int, width: int) -> None:
        """Sums of ``each`` rows by index. Backward: a row's gradient goes to all of them."""
        passes = 2 if self.training else 1
        self.vector += rows * (each - 1) * width
        self.moved += passes * INDEX_BYTES * rows * each
        self._move(passes * rows * (each + 1) * width)

    def cross_entropy(self, rows: int, classes: int) -> None:
        """One mean loss, in fp32 whatever the logits are."""
        self.vector += 3 * rows * classes
        self.scalar += rows * (classes + 1)
        self._move(rows * classes)
        self.moved += INDEX_BYTES * rows + element_bytes("fp32")
        if self.training:
            self.vector += 2 * rows * classes
            self.scalar += rows * classes
            self._move(2 * rows * classes)
            self.moved += INDEX_BYTES * rows

    def mean_squared_error(self, elements: int) -> None:
        """One mean, in fp32 whatever the operands are."""
        self.vector += 3 * elements
        self._move(2 * elements)
        self.moved += element_bytes("fp32")
        if self.training:
            self.vector += 2 * elements
            self._move(3 * elements)
