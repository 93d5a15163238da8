"""Vision transformers: what their programs compute, and costs worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from trnbench.models.costs.vit import FAMILY, MODELS, VitCall, configuration, cost
from trnbench.models.program import Program
from trnbench.models.transformer import Places
from trnbench.models.vit import Block, VisionTransformer, make_program

FORWARD = {"model": "vit-tiny", "phase": "forward", "layers": 2, "batch": 4}
TRAINING = {**FORWARD, "phase": "training"}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def vision_transformer(program: Program) -> VisionTransformer:
    return next(part for part in program.function.modules() if isinstance(part, VisionTransformer))


def gradients(program: Program) -> list[torch.Tensor]:
    return [parameter.grad for parameter in program.function.parameters()]


@pytest.mark.parametrize(
    ("model", "parameters"), [("vit-b16", 86_567_656), ("vit-l16", 304_326_632)]
)
def test_a_named_model_has_as_many_parameters_as_was_published(model: str, parameters: int):
    sizes = MODELS[model]

    assert sizes.parameters(sizes.layers) == parameters


@pytest.mark.parametrize("layers", [1, 2])
def test_parameters_are_those_of_the_program(layers: int):
    program = make_program({**FORWARD, "layers": layers}, "fp32", 7)

    held = sum(parameter.numel() for parameter in program.function.parameters())

    assert held == MODELS["vit-tiny"].parameters(layers)


def test_the_embedding_is_a_convolution():
    program = make_program(FORWARD, "fp32", 7)
    (image_BCYX,) = program.inputs
    embedding = vision_transformer(program).patches
    kernel_DCPP = embedding.projection.weight_NC.view(128, 3, 4, 4)
    wanted = functional.conv2d(image_BCYX, kernel_DCPP, embedding.projection.bias_N, stride=4)

    found_BND = embedding(image_BCYX)

    assert found_BND.shape == (4, 64, 128)
    assert torch.allclose(found_BND, wanted.flatten(2).mT, atol=1e-5)


def torchs_layer(block: Block) -> nn.Module:
    """PyTorch's own layer, with the weights of a block of vit-tiny."""
    layer = nn.TransformerEncoderLayer(
        128,
        4,
        512,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=1e-6,
        batch_first=True,
        norm_first=True,
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


def test_a_block_is_pytorchs_layer():
    block = vision_transformer(make_program(TRAINING, "fp32", 7)).blocks[1]
    x_BTD = torch.randn(4, 65, 128, generator=torch.Generator().manual_seed(1))

    found_BTD = block(x_BTD, Places(rotation=None))

    assert torch.allclose(found_BTD, torchs_layer(block)(x_BTD), atol=1e-5)


def test_every_patch_of_an_image_and_no_other_image_matters():
    program = make_program(FORWARD, "fp32", 7)
    (image_BCYX,) = program.inputs
    before = program()
    for corner in ((0, 0), (0, 31), (31, 0), (31, 31), (17, 9)):
        changed = image_BCYX.clone()
        changed[2, 1, *corner] += 1

        after = program.function(changed)

        assert (before != after).any(-1).tolist() == [False, False, True, False]


def test_patches_have_places():
    program = make_program({**FORWARD, "batch": 1}, "fp32", 7)
    (image_BCYX,) = program.inputs

    moved = program.function(image_BCYX.roll(4, -1))

    assert (moved - program()).abs().max() > 1e-3


def test_the_loss_is_that_of_the_classes():
    program = make_program(TRAINING, "fp32", 7)
    image_BCYX, class_B = program.inputs
    with torch.no_grad():
        wanted = functional.cross_entropy(vision_transformer(program)(image_BCYX), class_B)

    assert torch.allclose(program(), wanted, rtol=1e-5)
    assert len(class_B.unique()) == 4


@pytest.mark.parametrize("options", [{"recompute": True}, {"micro_batches": 2}])
def test_how_a_step_is_made_leaves_its_gradients(options: dict):
    plain, other = (make_program({**TRAINING, **more}, "fp32", 7) for more in ({}, options))

    losses = plain(), other()

    assert torch.allclose(*losses, rtol=1e-5)
    for wanted, gradient in zip(gradients(plain), gradients(other), strict=True):
        assert (gradient - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_autocast_keeps_weights_and_gradients_in_fp32():
    program = make_program({**TRAINING, "precision": "autocast"}, "bf16", 7)

    program()

    weights = list(program.function.parameters())
    assert {tensor.dtype for tensor in (*weights, *gradients(program))} == {torch.float32}
    assert program.inputs[0].dtype == torch.bfloat16


def test_the_work_of_a_forward_pass():
    found = cost({**FORWARD, "layers": 1, "batch": 3}, "fp32")

    patches, tokens, d, f, classes = 64, 65, 128, 512, 128
    block = tokens * (4 * d * d + 2 * d * f) + 2 * tokens * tokens * d
    image = patches * 3 * 4 * 4 * d + block + d * classes
    assert found.flops == found.flops_counted == 3 * 2 * image
    assert (found.items, found.item_unit) == (3, "samples")


def test_a_training_leaves_out_the_gradient_of_the_images():
    forward, training = cost(FORWARD, "fp32").flops, cost(TRAINING, "fp32").flops

    assert 3 * forward - training == 2 * 4 * 64 * (3 * 4 * 4) * 128


def test_the_work_of_an_image_is_about_what_is_published():
    # 17.6e9 multiply-adds: the model card of the same model in torchvision.
    found = cost({"model": "vit-b16", "phase": "forward", "layers": 12, "batch": 1}, "bf16")

    assert found.flops == pytest.approx(2 * 17.56e9, rel=0.005)


def test_the_bytes_that_a_forward_pass_must_carry():
    found = cost({**FORWARD, "layers": 1}, "bf16")

    images, logits = 4 * 3 * 32 * 32, 4 * 128
    assert found.bytes_useful == 2 * (MODELS["vit-tiny"].parameters(1) + images + logits)


@pytest.mark.parametrize("options", [{"micro_batches": 2}, {"recompute": True}])
def test_how_a_step_is_made_leaves_its_useful_work(options: dict):
    plain, other = cost(TRAINING, "fp32"), cost({**TRAINING, **options}, "fp32")

    assert other.flops == plain.flops
    assert other.flops_counted - other.flops_recomputed == plain.flops_counted
    assert (other.flops_recomputed > 0) == ("recompute" in options)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model": "vit"}, "'model' must be one of vit-tiny, vit-b16, vit-l16, not 'vit'"),
        ({"phase": "decode"}, "'phase' must be one of forward, training, not 'decode'"),
        ({"layers": 3}, "'layers' must be at most 2, not 3"),
        ({"batch": 129}, "'batch' must be at most 128, not 129"),
        ({"micro_batches": 3}, "'micro_batches' must divide 4, not be 3"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict, words: str):
    with pytest.raises(ValueError, match=words):
        VitCall.of({**TRAINING, **wrong})


def test_inference_takes_more_images_than_there_are_classes():
    assert VitCall.of({**FORWARD, "batch": 129}).batch == 129


def test_a_configuration_is_named_after_what_it_is():
    whole = configuration("vit-b16", "forward", 8)
    part = configuration("vit-b16", "training", 8, layers=2, checked_layers=1, suffix="-x")

    assert whole.name == "vit-b16-forward-8"
    assert part.name == "vit-b16-2of12-training-8-x"
    assert (part.params["layers"], part.params["model_layers"]) == (2, 12)
    assert part.checked == {**part.params, "layers": 1}
    assert (whole.checked, whole.phase, part.phase) == (None, "forward", "training")


def test_configurations_hold_every_model_in_both_phases():
    held = {(c.params["model"], c.phase) for c in FAMILY.configurations}

    assert held == {(model, phase) for model in MODELS for phase in ("forward", "training")}
