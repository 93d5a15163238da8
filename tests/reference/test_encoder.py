"""BERT against transformers' BertForMaskedLM with the same weights, and memory against its
model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from trnbench.models.costs.encoder import FAMILY, MODELS
from trnbench.models.encoder import MaskedModel, make_program
from trnbench.models.family import Configuration
from trnbench.models.program import Program

FORWARD = {"model": "bert-tiny", "phase": "forward", "layers": 2, "batch": 4, "sequence": 128}
TRAINING = {**FORWARD, "phase": "training", "masked": 20}
PADDED = {"useful": 96}

#: transformers' label of what the loss leaves out.
IGNORED = -100


def masked_model(program: Program) -> MaskedModel:
    module = program.function
    return next(part for part in module.modules() if isinstance(part, MaskedModel))


def make_theirs(params: dict) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    sizes = MODELS[params["model"]]
    config = transformers.BertConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.width,
        num_hidden_layers=params["layers"],
        num_attention_heads=sizes.block.heads,
        intermediate_size=sizes.hidden,
        max_position_embeddings=sizes.positions,
        layer_norm_eps=sizes.epsilon,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        # Its embedding gives the row of padding no gradient; here that is a token like another.
        pad_token_id=None,
    )
    return transformers.BertForMaskedLM(config)


def pairs(ours: MaskedModel, theirs: nn.Module) -> list[tuple[nn.Parameter, list[nn.Parameter]]]:
    """Each parameter of ours, and those of theirs that make it up."""
    tables, head = theirs.bert.embeddings, theirs.cls.predictions
    found = [
        (ours.encoder.embedding_VD, [tables.word_embeddings.weight]),
        (ours.encoder.types_2D, [tables.token_type_embeddings.weight]),
        (ours.encoder.positions_SD, [tables.position_embeddings.weight]),
        (ours.bias_V, [head.bias]),
    ]
    linears = [(ours.transform, [head.transform.dense])]
    norms = [(ours.encoder.norm, tables.LayerNorm), (ours.norm, head.transform.LayerNorm)]
    for block, layer in zip(ours.encoder.blocks, theirs.bert.encoder.layer, strict=True):
        attention = layer.attention
        inner = attention.self
        linears += [
            (block.attention.projection, [inner.query, inner.key, inner.value]),
            (block.attention.output, [attention.output.dense]),
            (block.mlp.up, [layer.intermediate.dense]),
            (block.mlp.down, [layer.output.dense]),
        ]
        norms += [
            (block.attention_norm, attention.output.LayerNorm),
            (block.mlp_norm, layer.output.LayerNorm),
        ]
    for linear, parts in linears:
        found += [
            (linear.weight_NC, [part.weight for part in parts]),
            (linear.bias_N, [part.bias for part in parts]),
        ]
    for norm, part in norms:
        found += [(norm.weight_D, [part.weight]), (norm.bias_D, [part.bias])]
    return found


def with_our_weights(params: dict, ours: MaskedModel) -> nn.Module:
    theirs = make_theirs(params)
    found = pairs(ours, theirs)
    assert len({id(parameter) for parameter, _ in found}) == len(list(ours.parameters()))
    assert sum(len(parts) for _, parts in found) == len(list(theirs.parameters()))
    with torch.no_grad():
        for parameter, parts in found:
            for part, values in zip(parts, parameter.chunk(len(parts)), strict=True):
                part.copy_(values)
    return theirs


def call_theirs(theirs: nn.Module, program: Program) -> tuple[Tensor, Tensor | None]:
    """Their logits, and their loss where the program trains."""
    tokens_BT, types_BT, *rest = program.inputs
    labels_BT = None
    if len(rest) > 1:
        masked_BM, labels_BM, *rest = rest
        labels_BT = torch.full_like(tokens_BT, IGNORED).scatter(1, masked_BM, labels_BM)
    output = theirs(
        tokens_BT,
        token_type_ids=types_BT,
        attention_mask=rest[0].long() if rest else None,
        labels=labels_BT,
    )
    return output.logits, output.loss


def error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("padding", [{}, PADDED], ids=["full", "padded"])
def test_logits_are_those_of_transformers(padding: dict):
    params = {**FORWARD, **padding}
    program = make_program(params, "fp32", 7)
    theirs = with_our_weights(params, masked_model(program)).eval()

    with torch.no_grad():
        wanted, _ = call_theirs(theirs, program)
        logits = program()

    assert logits.shape == wanted.shape == (4, 128, 1024)
    assert error(logits, wanted) < 1e-5


@pytest.mark.parametrize("padding", [{}, PADDED], ids=["full", "padded"])
def test_loss_and_gradients_are_those_of_transformers(padding: dict):
    params = {**TRAINING, **padding}
    program = make_program(params, "fp32", 7)
    ours = masked_model(program)
    theirs = with_our_weights(params, ours)
    _, wanted = call_theirs(theirs, program)
    wanted.backward()

    loss = program()

    assert abs(loss - wanted) < 1e-5 * abs(wanted)
    for parameter, parts in pairs(ours, theirs):
        gradient = torch.cat([part.grad for part in parts])
        assert error(parameter.grad, gradient) < 1e-4


def test_ten_steps_give_the_losses_of_transformers():
    program = make_program(TRAINING, "fp32", 7)
    theirs = with_our_weights(TRAINING, masked_model(program))
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3)
    wanted = []
    for _ in range(10):
        optimizer.zero_grad()
        _, loss = call_theirs(theirs, program)
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
    if configuration.params["model"] == "bert-tiny"
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
