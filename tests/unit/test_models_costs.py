"""Costs worked out by hand, or by counting in another way than the formulas do."""

from __future__ import annotations

import itertools

import pytest

from trnbench.models.costs import (
    attention,
    conv2d,
    cross_entropy,
    elementwise,
    embedding,
    matmul,
    memory,
    mlp_training,
    norm,
    reduction,
    softmax,
)
from trnbench.models.costs.sizes import element_bytes, integer, text
from trnbench.models.registry import family


def test_square_matmul_of_512():
    cost = matmul.cost({"op": "mm", "m": 512, "n": 512, "k": 512}, "bf16")

    assert cost.flops == 268_435_456
    assert cost.bytes_moved == 3 * 512 * 1024


def test_int8_product_writes_int32_and_is_not_counted():
    cost = matmul.cost({"op": "mm", "m": 4, "n": 5, "k": 6}, "int8")

    assert cost.flops == 2 * 4 * 5 * 6
    assert cost.flops_counted is None
    assert "_int_mm" in str(cost.uncounted_reason)
    assert cost.bytes_moved == 4 * 6 + 6 * 5 + 4 * (4 * 5)


def test_batch_multiplies_and_bias_adds():
    batched = matmul.cost({"op": "bmm", "batch": 3, "m": 4, "n": 5, "k": 6}, "fp32")
    biased = matmul.cost({"op": "linear-bias", "m": 4, "n": 5, "k": 6}, "fp32")

    assert batched.flops == 3 * 240
    assert batched.items == 12
    assert batched.bytes_moved == 3 * 4 * (24 + 30 + 20)
    assert (biased.flops, biased.vector_flops) == (240, 20)
    assert biased.bytes_moved == 4 * (24 + 30 + 20 + 5)


def test_causal_attention_counts_the_pairs_that_are_needed():
    sizes = {"batch": 2, "heads": 3, "kv_heads": 1, "queries": 5, "keys": 5, "width": 7}
    pairs = sum(key <= query for query, key in itertools.product(range(5), range(5)))

    causal = attention.cost({"op": "causal", **sizes}, "fp32")
    full = attention.cost({"op": "full", **sizes}, "fp32")

    assert causal.flops == 2 * 3 * pairs * (2 * 7 + 2 * 7)
    assert causal.flops_counted == full.flops == full.flops_counted == 2 * 3 * 25 * 28
    assert causal.bytes_moved == full.bytes_moved == 4 * 2 * 7 * 5 * (2 * 3 + 2 * 1)


def test_decoding_reads_the_cache_and_appends_to_it():
    sizes = {"batch": 1, "heads": 4, "kv_heads": 2, "queries": 1, "keys": 8, "width": 16}

    cost = attention.cost({"op": "decode", **sizes}, "bf16")

    query_and_result, cache, new = 2 * 4 * 16, 2 * 2 * 8 * 16, 2 * 2 * 16
    assert cost.bytes_moved == 2 * (query_and_result + cache + 2 * new)
    assert cost.working_set_bytes == 2 * (query_and_result + cache + new)
    assert cost.items == 1


def test_depthwise_convolution_has_one_channel_a_filter():
    sizes = {"samples": 2, "channels": 8, "results": 8, "height": 5, "width": 6, "kernel": 3}

    assert conv2d.cost({**sizes, "groups": 8}, "fp32").flops == 2 * 2 * 8 * 5 * 6 * 9
    assert conv2d.cost({**sizes, "groups": 1}, "fp32").flops == 2 * 2 * 8 * 5 * 6 * 9 * 8


@pytest.mark.parametrize(
    ("operation", "tensors", "vector"), [("copy", 2, 0), ("triad", 3, 2), ("fill", 1, 0)]
)
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_working_set_is_shared_out(operation: str, tensors: int, vector: int, dtype: str):
    params = {"op": operation, "set_bytes": 3 * 1024 * 1024}
    rows, columns = memory.shape(params, dtype) if operation != "copy" else (256, 0)
    cost = memory.cost(params, dtype)

    assert cost.bytes_moved == cost.working_set_bytes == 3 * 1024 * 1024
    assert cost.items * tensors * element_bytes(dtype) == 3 * 1024 * 1024
    assert cost.vector_flops == vector * cost.items
    assert columns == 0 or rows * columns == cost.items


def test_a_working_set_that_cannot_be_shared_out_is_refused():
    with pytest.raises(ValueError, match=r"multiple of 3072 \(3 tensors of 256 rows in fp32\)"):
        memory.cost({"op": "triad", "set_bytes": 4096}, "fp32")


def test_vector_and_scalar_work_of_small_rows():
    row = {"rows": 2, "columns": 4}

    # max 3, subtract 4, sum 3, divide 4; exp 4
    assert (softmax.cost(row, "fp32").vector_flops, softmax.cost(row, "fp32").scalar_flops) == (
        2 * 14,
        2 * 4,
    )
    assert reduction.cost({"op": "sum", **row}, "fp32").vector_flops == 2 * 3
    assert reduction.cost({"op": "argmax", **row}, "bf16").bytes_moved == 2 * 8 + 2 * 8
    assert elementwise.cost({"op": "gelu", **row}, "fp32").scalar_flops == 8
    layer = norm.cost({"op": "layer", "rows": 3, "width": 4}, "fp32")
    rms = norm.cost({"op": "rms", "rows": 3, "width": 4}, "fp32")
    assert (layer.vector_flops, layer.scalar_flops) == (3 * 29, 3)
    assert (rms.vector_flops, rms.scalar_flops) == (3 * 17, 3)
    loss = cross_entropy.cost({"tokens": 2, "vocabulary": 4}, "fp32")
    assert (loss.vector_flops, loss.scalar_flops) == (2 * 12, 2 * 5)


def test_embedding_reads_only_the_rows_it_names():
    cost = embedding.cost({"tokens": 3, "vocabulary": 1000, "width": 4}, "bf16")

    assert cost.bytes_moved == 3 * 8 + 2 * 3 * 4 * 2
    with pytest.raises(ValueError, match=r"at most 'vocabulary' \(2\), not 3"):
        embedding.cost({"tokens": 3, "vocabulary": 2, "width": 4}, "bf16")


def test_training_keeps_parameters_gradients_and_two_moments():
    cost = mlp_training.cost({"tokens": 2, "width": 4, "hidden": 8}, "fp32")

    parameters = 3 * 4 * 8
    assert cost.flops == 7 * 2 * 2 * 4 * 8
    assert cost.working_set_bytes == 4 * (4 * parameters + 2 * 2 * 4)
    assert cost.bytes_useful == 4 * (8 * parameters + 2 * 2 * 4 + 1)
    assert cost.bytes_moved > cost.bytes_useful


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "4", None])
def test_a_size_must_be_a_positive_integer(wrong: object):
    with pytest.raises(ValueError, match="'n' must be a positive integer, not "):
        integer({"n": wrong}, "n")


def test_an_operation_must_be_known():
    with pytest.raises(ValueError, match=r"'op' must be one of mm, bmm, .*, not 'mmm'"):
        matmul.cost({"op": "mmm"}, "fp32")
    with pytest.raises(ValueError, match="'op' must be one of a, not 3"):
        text({"op": 3}, "op", ("a",))


def test_a_dtype_must_be_known():
    with pytest.raises(ValueError, match="unknown dtype 'fp64'; known: fp32, bf16, fp16, int8"):
        element_bytes("fp64")


def test_a_configuration_is_found_by_name():
    found = family("matmul").configuration("square-512")

    assert found.params["m"] == 512
    with pytest.raises(KeyError, match="no configuration 'square-513'; known: square-512"):
        family("matmul").configuration("square-513")
