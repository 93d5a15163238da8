from __future__ import annotations

import pytest
import torch
from torch import nn

from trnbench.models.attention import make_program as make_attention
from trnbench.models.conv2d import make_program as make_conv2d
from trnbench.models.cross_entropy import make_program as make_cross_entropy
from trnbench.models.elementwise import make_program as make_elementwise
from trnbench.models.inputs import Draw
from trnbench.models.matmul import make_program as make_matmul
from trnbench.models.memory import make_program as make_memory
from trnbench.models.mlp import make_program as make_mlp
from trnbench.models.mlp_training import make_program as make_training
from trnbench.models.program import Program
from trnbench.models.reduction import make_program as make_reduction


def test_moving_copies_a_module_and_leaves_the_original():
    program = Program(nn.Linear(2, 2), (torch.ones(1, 2),))

    moved = program.moved(lambda value: value.double())

    assert moved.inputs[0].dtype == torch.float64
    assert moved.function.weight.dtype == torch.float64
    assert program.inputs[0].dtype == torch.float32
    assert program.function.weight.dtype == torch.float32


def test_the_reference_widens_values_and_keeps_integers():
    program = Program(lambda index, table: table[index], (torch.tensor([1]), torch.ones(2, 2)))

    index, table = program.in_float64().inputs

    assert (index.dtype, table.dtype) == (torch.int64, torch.float64)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_bound_call_passes_all_inputs(count: int):
    inputs = tuple(torch.tensor(float(i)) for i in range(count))
    program = Program(lambda *given: given, inputs)

    assert program.bound_call()() == inputs == program()


def test_the_output_is_what_is_checked():
    program = Program(lambda: None, ())
    one, two = torch.ones(1), torch.ones(2)

    assert program.checked(one) == (one,)
    assert program.checked([one, two]) == (one, two)
    assert program.moved_parameters() is None


def test_memory_operators_write_into_their_buffer():
    for operation, tensors in (("copy", 2), ("triad", 3), ("fill", 1), ("transpose", 2)):
        program = make_memory({"op": operation, "set_bytes": tensors * 256 * 4 * 8}, "fp32", 0)
        before = program.inputs[0].clone()

        assert program() is program.inputs[0]
        assert len(program.inputs) == tensors
        assert not (program.inputs[0] == before).any()


def test_decoding_overwrites_the_last_place_of_the_cache():
    sizes = {"batch": 1, "heads": 4, "kv_heads": 2, "queries": 1, "keys": 8, "width": 16}
    program = make_attention({"op": "decode", **sizes}, "fp32", 0)
    query, key, value, keys, values = program.inputs
    stale = torch.nn.functional.scaled_dot_product_attention(query, keys, values, enable_gqa=True)

    fresh = program()

    assert torch.equal(keys[:, :, -1:], key)
    assert torch.equal(values[:, :, -1:], value)
    assert (fresh - stale).abs().max() > 1  # a step that forgets the cache is plainly wrong


def test_rotary_turns_pairs_by_their_position_and_keeps_their_length():
    sizes = {"batch": 1, "heads": 1, "sequence": 3, "width": 4}
    program = make_elementwise({"op": "rotary", **sizes}, "fp32", 0)
    x = program.inputs[0][0, 0]

    turned = program()[0, 0]

    pairs = torch.complex(x[:, :2], x[:, 2:]).to(torch.complex128)
    angles = torch.tensor([[0.0, 0.0], [1.0, 0.01], [2.0, 0.02]], dtype=torch.float64)
    wanted = pairs * torch.polar(torch.ones_like(angles), angles)
    assert torch.allclose(torch.complex(turned[:, :2], turned[:, 2:]).to(wanted.dtype), wanted)


@pytest.mark.parametrize("shape", [(8, 64), (64, 8)])
def test_every_row_has_one_maximum(shape: tuple[int, int]):
    rows, columns = shape
    program = make_reduction({"op": "argmax", "rows": rows, "columns": columns}, "bf16", 0)
    x = program.inputs[0]

    assert ((x == x.amax(-1, keepdim=True)).sum(-1) == 1).all()
    places = program()
    assert len(places.unique()) == min(rows, columns)


def test_inference_records_nothing_for_a_backward_pass():
    program = make_mlp({"tokens": 2, "width": 4, "hidden": 8}, "fp32", 0)

    assert program().grad_fn is None


def test_draws_follow_the_seed_and_their_order():
    first, again = Draw("fp32", 3), Draw("fp32", 3)

    assert torch.equal(first.normal(4), again.normal(4))
    assert not torch.equal(first.normal(4), Draw("fp32", 3).normal(4))
    assert Draw("bf16", 3).normal(4).dtype == torch.bfloat16
    assert sorted(Draw("fp32", 3).indices(5, 5).tolist()) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="unknown dtype 'fp64'"):
        Draw("fp64", 0)


def test_what_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="int8 exists for op 'mm' only, not 'bmm'"):
        make_matmul({"op": "bmm", "batch": 1, "m": 1, "n": 1, "k": 1}, "int8", 0)
    sizes = {"samples": 1, "channels": 4, "results": 4, "height": 4, "width": 4}
    with pytest.raises(ValueError, match="'kernel' must be odd"):
        make_conv2d({**sizes, "kernel": 2, "groups": 1}, "fp32", 0)
    with pytest.raises(ValueError, match="'groups' must be 1, or the channels"):
        make_conv2d({**sizes, "kernel": 3, "groups": 2}, "fp32", 0)
    heads = {"batch": 1, "heads": 1, "kv_heads": 1, "width": 4}
    with pytest.raises(ValueError, match="needs queries equal to keys, not 2 and 3"):
        make_attention({"op": "causal", **heads, "queries": 2, "keys": 3}, "fp32", 0)


@pytest.mark.parametrize("rate", [-1.0, "fast", None, True])
def test_a_learning_rate_must_be_a_number(rate: object):
    params = {"tokens": 2, "width": 4, "hidden": 8, "learning_rate": rate}

    with pytest.raises(ValueError, match="'learning_rate' must be a number from 0 up"):
        make_training(params, "fp32", 0)


def test_a_causal_query_sees_no_later_key():
    sizes = {"batch": 1, "heads": 2, "kv_heads": 1, "queries": 3, "keys": 3, "width": 4}
    program = make_attention({"op": "causal", **sizes}, "fp32", 0)
    query, key, value = program.inputs
    output = program()

    key[:, :, 1:], value[:, :, 1:] = 9.0, 9.0
    later_changed = program()

    assert torch.allclose(output[:, :, 0], value[:, :1, 0].expand(1, 2, 4))
    assert torch.equal(output[:, :, 0], later_changed[:, :, 0])
    assert not torch.equal(output[:, :, 2], later_changed[:, :, 2])
    assert query.shape[1] == 2 * key.shape[1]


def test_attention_without_a_mask_weighs_all_values():
    sizes = {"batch": 1, "heads": 1, "kv_heads": 1, "queries": 3, "keys": 3, "width": 4}
    program = make_attention({"op": "full", **sizes}, "fp32", 0)
    query, key, value = (tensor[0, 0].double() for tensor in program.inputs)

    weights = torch.exp(query @ key.T / 2)
    wanted = weights / weights.sum(-1, keepdim=True) @ value

    assert torch.allclose(program()[0, 0].double(), wanted, atol=1e-6)


def test_the_block_is_swiglu():
    program = make_mlp({"tokens": 2, "width": 4, "hidden": 8}, "fp32", 0)
    gate, up, down = (weight.double() for weight in program.function.parameters())
    x = program.inputs[0].double()

    gated = x @ gate.T
    wanted = (gated / (1 + torch.exp(-gated)) * (x @ up.T)) @ down.T

    assert torch.allclose(program().double(), wanted, atol=1e-6)


def test_memory_operators_do_what_their_names_say():
    def inputs_and_result(operation: str, tensors: int):
        params = {"op": operation, "set_bytes": tensors * 256 * 4 * 8}
        program = make_memory(params, "fp32", 0)
        return program.inputs[1:], program()

    (source,), copied = inputs_and_result("copy", 2)
    assert torch.equal(copied, source)
    (source,), transposed = inputs_and_result("transpose", 2)
    assert transposed.shape == (8, 256)
    assert torch.equal(transposed, source.t())
    (a, b), triad = inputs_and_result("triad", 3)
    assert torch.allclose(triad, a + 3 * b, atol=1e-5)


def test_a_token_loss_is_its_own_surprise():
    program = make_cross_entropy({"tokens": 3, "vocabulary": 5}, "fp32", 0)
    logits, labels = program.inputs
    chances = torch.exp(logits.double())

    wanted = -torch.log(chances[torch.arange(3), labels] / chances.sum(-1))

    assert torch.allclose(program().double(), wanted, atol=1e-6)


def test_gradients_are_of_the_last_step_alone():
    params = {"tokens": 2, "width": 4, "hidden": 8, "learning_rate": 0.0}
    program = make_training(params, "fp32", 0)

    once = [tensor.clone() for tensor in program.checked(program())]
    twice = program.checked(program())

    assert len(once) == 4
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))


def test_a_step_moves_weights_by_the_learning_rate():
    params = {"tokens": 2, "width": 4, "hidden": 8, "learning_rate": 0.01}
    program = make_training(params, "fp32", 0)
    before = [weight.detach().clone() for weight in program.function.parameters()]

    program()

    # Adam's first step is the sign of the gradient; the decay of 1 % takes a ten-thousandth.
    for old, weight in zip(before, program.function.parameters(), strict=True):
        moved = weight.detach() - old * (1 - 0.01 * 0.01)
        assert torch.allclose(moved, -0.01 * weight.grad.sign(), rtol=1e-2)
