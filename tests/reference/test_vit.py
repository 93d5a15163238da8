"""ViT against transformers' ViTForImageClassification with the same weights, and memory against
its model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from trnbench.models.costs.vit import FAMILY, MODELS
from trnbench.models.family import Configuration
from trnbench.models.program import Program
from trnbench.models.vit import VisionTransformer, make_program

FORWARD = {"model": "vit-tiny", "phase": "forward", "layers": 2, "batch": 8}
TRAINING = {**FORWARD, "phase": "training"}


def vision_transformer(program: Program) -> VisionTransformer:
    module = program.function
    return next(part for part in module.modules() if isinstance(part, VisionTransformer))


def make_theirs(params: dict) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    sizes = MODELS[params["model"]]
    config = transformers.ViTConfig(
        hidden_size=sizes.width,
        num_hidden_layers=params["layers"],
        num_attention_heads=sizes.block.heads,
        intermediate_size=sizes.hidden,
        image_size=sizes.image,
        patch_size=sizes.patch,
        num_channels=sizes.channels,
        num_labels=sizes.classes,
        layer_norm_eps=sizes.epsilon,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return transformers.ViTForImageClassification(config)


def pairs(ours: VisionTransformer, theirs: nn.Module) -> list[tuple[nn.Parameter, list]]:
    """Each parameter of ours, and those of theirs that make it up."""
    tables = theirs.vit.embeddings
    found = [
        (ours.class_D, [tables.cls_token]),
        (ours.positions_TD, [tables.position_embeddings]),
    ]
    linears = [
        (ours.patches.projection, [tables.patch_embeddings.projection]),
        (ours.head, [theirs.classifier]),
    ]
    norms = [(ours.norm, theirs.vit.layernorm)]
    for block, layer in zip(ours.blocks, theirs.vit.layers, strict=True):
        inner = layer.attention
        linears += [
            (block.attention.projection, [inner.q_proj, inner.k_proj, inner.v_proj]),
            (block.attention.output, [inner.o_proj]),
            (block.mlp.up, [layer.mlp.fc1]),
            (block.mlp.down, [layer.mlp.fc2]),
        ]
        norms += [
            (block.attention_norm, layer.layernorm_before),
            (block.mlp_norm, layer.layernorm_after),
        ]
    for linear, parts in linears:
        found += [
            (linear.weight_NC, [part.weight for part in parts]),
            (linear.bias_N, [part.bias for part in parts]),
        ]
    for norm, part in norms:
        found += [(norm.weight_D, [part.weight]), (norm.bias_D, [part.bias])]
    return found


def with_our_weights(params: dict, ours: VisionTransformer) -> nn.Module:
    theirs = make_theirs(params)
    found = pairs(ours, theirs)
    assert len({id(parameter) for parameter, _ in found}) == len(list(ours.parameters()))
    assert sum(len(parts) for _, parts in found) == len(list(theirs.parameters()))
    with torch.no_grad():
        for parameter, parts in found:
            for part, values in zip(parts, parameter.chunk(len(parts)), strict=True):
                part.copy_(values.view_as(part))
    return theirs


def error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def test_logits_are_those_of_transformers():
    program = make_program(FORWARD, "fp32", 7)
    theirs = with_our_weights(FORWARD, vision_transformer(program)).eval()

    with torch.no_grad():
        wanted = theirs(*program.inputs).logits
        logits = program()

    assert logits.shape == wanted.shape == (8, 128)
    assert error(logits, wanted) < 1e-5


def test_loss_and_gradients_are_those_of_transformers():
    program = make_program(TRAINING, "fp32", 7)
    ours = vision_transformer(program)
    theirs = with_our_weights(TRAINING, ours)
    image_BCYX, class_B = program.inputs
    wanted = theirs(image_BCYX, labels=class_B).loss
    wanted.backward()

    loss = program()

    assert abs(loss - wanted) < 1e-5 * abs(wanted)
    for parameter, parts in pairs(ours, theirs):
        gradient = torch.cat([part.grad for part in parts]).view_as(parameter)
        assert error(parameter.grad, gradient) < 1e-4


def test_ten_steps_give_the_losses_of_transformers():
    program = make_program(TRAINING, "fp32", 7)
    theirs = with_our_weights(TRAINING, vision_transformer(program))
    image_BCYX, class_B = program.inputs
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3)
    wanted = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = theirs(image_BCYX, labels=class_B).loss
        loss.backward()
        optimizer.step()
        wanted.append(loss.item())

    losses = [program().item() for _ in range(10)]

    assert losses == pytest.approx(wanted, rel=1e-4)
    assert losses[-1] < 0.8 * losses[0]
    assert program.moved_parameters() is True


TINY = [
    (configuration, dtype)
    for configuration in FAMILY.configurations
    if configuration.params["model"] == "vit-tiny"
    for dtype in configuration.dtypes
]


def test_the_sweep_below_is_not_empty():
    assert {configuration.phase for configuration, _ in TINY} == {"forward", "training"}
    assert {dtype for _, dtype in TINY} == {"fp32", "bf16"}


@pytest.mark.parametrize(
    ("configuration", "dtype"),
    TINY,
    ids=[f"{configuration.name}-{dtype}" for configuration, dtype in TINY],
)
def test_the_memory_model_holds(configuration: Configuration, dtype: str, peak_bytes):
    modelled = FAMILY.footprint(configuration.params, dtype)

    measured = peak_bytes(make_program(configuration.params, dtype, 7))

    assert measured == pytest.approx(modelled.peak, rel=0.1)
