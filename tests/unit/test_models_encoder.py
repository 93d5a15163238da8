"""BERT: what its programs compute, and costs worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from trnbench.models.costs.encoder import FAMILY, MODELS, EncoderCall, configuration, cost
from trnbench.models.encoder import Block, MaskedModel, make_program
from trnbench.models.program import Program
from trnbench.models.transformer import Places

FORWARD = {"model": "bert-tiny", "phase": "forward", "layers": 2, "batch": 4, "sequence": 16}
TRAINING = {**FORWARD, "phase": "training", "masked": 3}
PADDED = {"useful": 12}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def masked_model(program: Program) -> MaskedModel:
    return next(part for part in program.function.modules() if isinstance(part, MaskedModel))


def gradients(program: Program) -> list[torch.Tensor]:
    return [parameter.grad for parameter in program.function.parameters()]


@pytest.mark.parametrize(
    ("model", "parameters"), [("bert-base", 109_514_298), ("bert-large", 335_174_458)]
)
def test_a_named_model_has_as_many_parameters_as_was_published(model: str, parameters: int):
    sizes = MODELS[model]

    assert sizes.parameters(sizes.layers) == parameters


@pytest.mark.parametrize("layers", [1, 2])
def test_parameters_are_those_of_the_program(layers: int):
    program = make_program({**FORWARD, "layers": layers}, "fp32", 7)

    held = sum(parameter.numel() for parameter in program.function.parameters())

    assert held == MODELS["bert-tiny"].parameters(layers)


@pytest.mark.parametrize(
    ("batch", "useful", "lengths"),
    [
        (1, 12, [12]),
        (2, 12, [16, 8]),
        (3, 12, [16, 12, 8]),
        (4, 12, [16, 13, 11, 8]),
        (5, 14, [16, 15, 14, 13, 12]),
        (2, 16, [16, 16]),
        (2, 2, [3, 1]),
    ],
)
def test_lengths_are_spread_about_their_mean(batch: int, useful: int, lengths: list[int]):
    call = EncoderCall.of({**FORWARD, "batch": batch, "useful": useful})

    assert call.lengths == lengths
    assert sum(lengths) == batch * useful


def test_what_stands_at_padded_places_does_not_matter():
    program = make_program({**FORWARD, **PADDED}, "fp32", 7)
    tokens_BT, types_BT, mask_BT = program.inputs
    before = program()
    other_BT = torch.where(mask_BT, tokens_BT, (tokens_BT + 1) % 1024)

    after = program.function(other_BT, types_BT, mask_BT)

    assert not torch.equal(other_BT, tokens_BT)
    assert torch.equal(before[mask_BT], after[mask_BT])
    assert (before[~mask_BT] != after[~mask_BT]).any(-1).all()


def torchs_layer(block: Block) -> nn.Module:
    """PyTorch's own layer, with the weights of a block of bert-tiny."""
    layer = nn.TransformerEncoderLayer(
        128,
        4,
        512,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=1e-12,
        batch_first=True,
        norm_first=False,
    )
    theirs = layer.self_attn
    pairs = [
        (theirs.in_proj_weight, block.attention.projection.weight_NC),
        (theirs.in_proj_bias, block.attention.projection.bias_N),
        (theirs.out_proj.weight, block.attention.output.weight_NC),
        (theirs.out_proj.bias, block.attention.output.bias_N),
        (layer.linear1.weight, block.mlp.up.weight_NC),
        (layer.linear1.bias, block.mlp.up.bias_N),
        (layer.linear2.weight, block.mlp.down.weight_NC),
        (layer.linear2.bias, block.mlp.down.bias_N),
    ]
    for norm, ours in ((layer.norm1, block.attention_norm), (layer.norm2, block.mlp_norm)):
        pairs += [(norm.weight, ours.weight_D), (norm.bias, ours.bias_D)]
    assert len(pairs) == len(list(layer.parameters())) == len(list(block.parameters()))
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(ours)
    return layer


@pytest.mark.parametrize("padding", [{}, PADDED], ids=["full", "padded"])
def test_a_block_is_pytorchs_layer(padding: dict):
    program = make_program({**TRAINING, **padding}, "fp32", 7)
    mask_BT = program.inputs[-1] if padding else None
    block = masked_model(program).encoder.blocks[1]
    layer = torchs_layer(block)
    x_BTD = torch.randn(4, 16, 128, generator=torch.Generator().manual_seed(1))
    places = Places(rotation=None, mask_TS=None if mask_BT is None else mask_BT[:, None, None])

    found_BTD = block(x_BTD, places)

    wanted_BTD = layer(x_BTD, src_key_padding_mask=None if mask_BT is None else ~mask_BT)
    assert torch.allclose(found_BTD, wanted_BTD, atol=1e-5)


@pytest.mark.parametrize("changed", ["token", "type"])
def test_every_token_sees_every_other(changed: str):
    program = make_program({**FORWARD, "batch": 1}, "fp32", 7)
    tokens_BT, types_BT = (tensor.clone() for tensor in program.inputs)
    before = program()
    if changed == "token":
        tokens_BT[0, 9] = (tokens_BT[0, 9] + 1) % 1024
    else:
        types_BT[0, 9] = 1 - types_BT[0, 9]

    after = program.function(tokens_BT, types_BT)

    assert (before != after).any(-1).all()


def test_without_padding_there_is_no_mask():
    whole, padded = make_program(FORWARD, "fp32", 7), make_program({**FORWARD, **PADDED}, "fp32", 7)

    assert [tuple(tensor.shape) for tensor in whole.inputs] == [(4, 16)] * 2
    assert padded.inputs[2].sum(-1).tolist() == [16, 13, 11, 8]
    assert padded.inputs[2].dtype == torch.bool


def test_masked_places_are_useful_ones():
    _, _, masked_BM, labels_BM, mask_BT = make_program({**TRAINING, **PADDED}, "fp32", 7).inputs

    assert masked_BM.shape == labels_BM.shape == (4, 3)
    assert mask_BT.gather(1, masked_BM).all()
    assert (masked_BM.diff(dim=1) > 0).all()


@pytest.mark.parametrize("padding", [{}, PADDED], ids=["full", "padded"])
def test_the_loss_is_that_of_the_masked_tokens(padding: dict):
    program = make_program({**TRAINING, **padding}, "fp32", 7)
    tokens_BT, types_BT, masked_BM, labels_BM, *mask = program.inputs
    with torch.no_grad():
        logits_BTV = masked_model(program)(tokens_BT, types_BT, *mask)
    rows = torch.arange(4)[:, None]
    wanted = functional.cross_entropy(
        logits_BTV[rows, masked_BM].flatten(0, 1), labels_BM.flatten()
    )

    loss = program()

    assert torch.allclose(loss, wanted, rtol=1e-5)


@pytest.mark.parametrize("options", [{"recompute": True}, {"micro_batches": 2}])
def test_how_a_step_is_made_leaves_its_gradients(options: dict):
    plain, other = (
        make_program({**TRAINING, **PADDED, **more}, "fp32", 7) for more in ({}, options)
    )

    losses = plain(), other()

    assert torch.allclose(*losses, rtol=1e-5)
    for wanted, gradient in zip(gradients(plain), gradients(other), strict=True):
        assert (gradient - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_autocast_keeps_weights_and_gradients_in_fp32():
    program = make_program({**TRAINING, "precision": "autocast"}, "bf16", 7)

    program()

    weights = list(program.function.parameters())
    assert {tensor.dtype for tensor in (*weights, *gradients(program))} == {torch.float32}


def test_the_work_of_a_forward_pass():
    found = cost({**FORWARD, "layers": 1, "batch": 2}, "fp32")

    rows, d, f, v = 2 * 16, 128, 512, 1024
    block = rows * (4 * d * d + 2 * d * f) + 2 * 2 * 16 * 16 * d
    head = rows * (d * d + d * v)
    assert found.flops == found.flops_counted == 2 * (block + head)
    assert (found.items, found.items_padded, found.item_unit) == (32, 0, "tokens")


def test_padding_is_counted_and_of_no_use():
    whole, padded = cost(FORWARD, "fp32"), cost({**FORWARD, **PADDED}, "fp32")

    d, f, v = 128, 512, 1024
    pairs = sum(length**2 for length in (16, 13, 11, 8))
    each = 2 * (4 * d * d + 2 * d * f) + d * d + d * v
    assert padded.flops == 2 * (48 * each + 2 * 2 * pairs * d)
    assert padded.flops_counted == whole.flops_counted
    assert (padded.items, padded.items_padded) == (48, 16)
    assert padded.bytes_moved == whole.bytes_moved
    assert padded.bytes_useful == whole.bytes_useful + 4 * 16


def test_the_head_of_a_training_works_on_masked_tokens():
    few, more = (cost({**TRAINING, "masked": masked}, "fp32").flops for masked in (3, 4))

    assert more - few == 3 * 2 * 4 * (128 * 128 + 128 * 1024)


def test_the_bytes_that_a_forward_pass_must_carry():
    found = cost({**FORWARD, "layers": 1}, "bf16")

    unread = (128 - 16) * 128
    weights = MODELS["bert-tiny"].parameters(1) - unread
    assert found.bytes_useful == 2 * (weights + 64 * 1024) + 2 * 8 * 64


@pytest.mark.parametrize("options", [{"micro_batches": 2}, {"recompute": True}])
def test_how_a_step_is_made_leaves_its_useful_work(options: dict):
    plain, other = cost(TRAINING, "fp32"), cost({**TRAINING, **options}, "fp32")

    assert other.flops == plain.flops
    assert other.flops_counted - other.flops_recomputed == plain.flops_counted
    assert (other.flops_recomputed > 0) == ("recompute" in options)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model": "bert"}, "'model' must be one of bert-tiny, bert-base, bert-large, not 'bert'"),
        ({"phase": "decode"}, "'phase' must be one of forward, training, not 'decode'"),
        ({"layers": 3}, "'layers' must be at most 2, not 3"),
        ({"sequence": 129}, "'sequence' must be at most 128, not 129"),
        ({"useful": 17}, "'useful' must be at most 16, not 17"),
        ({"useful": 12, "masked": 9}, "'masked' must be at most 8, not 9"),
        ({"masked": 0}, "'masked' must be a positive integer, not 0"),
        ({"micro_batches": 3}, "'micro_batches' must divide 4, not be 3"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict, words: str):
    with pytest.raises(ValueError, match=words):
        EncoderCall.of({**TRAINING, **wrong})


def test_a_configuration_is_named_after_what_it_is():
    whole = configuration("bert-base", "forward", 8, 128, suffix="-padded", useful=96)
    part = configuration("bert-base", "training", 8, 128, layers=2, checked_layers=1, masked=20)

    assert whole.name == "bert-base-forward-8x128-padded"
    assert part.name == "bert-base-2of12-training-8x128"
    assert (part.params["layers"], part.params["model_layers"]) == (2, 12)
    assert part.checked == {**part.params, "layers": 1}
    assert (whole.checked, whole.phase, part.phase) == (None, "forward", "training")


def test_configurations_hold_every_model_in_both_phases():
    held = {(c.params["model"], c.phase) for c in FAMILY.configurations}

    assert held == {(model, phase) for model in MODELS for phase in ("forward", "training")}
    assert any("useful" in c.params for c in FAMILY.configurations if c.phase == "forward")
    assert any("useful" in c.params for c in FAMILY.configurations if c.phase == "training")
