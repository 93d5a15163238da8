"""ResNet against transformers' ResNetForImageClassification with the same weights, and memory
against its model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from trnbench.models.costs.resnet import FAMILY
from trnbench.models.costs.resnet_sizes import EPSILON, MODELS, MOMENTUM
from trnbench.models.program import Program
from trnbench.models.resnet import Convolution, ResNet, make_program

FORWARD = {"model": "resnet-tiny", "phase": "forward", "batch": 8, "side": 32}
TRAINING = {**FORWARD, "phase": "training"}
WHOLE = {"model": "resnet50", "phase": "forward", "batch": 2, "side": 224}


def resnet(program: Program) -> ResNet:
    return next(part for part in program.function.modules() if isinstance(part, ResNet))


def make_theirs(params: dict) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    sizes = MODELS[params["model"]]
    config = transformers.ResNetConfig(
        embedding_size=sizes.stem,
        hidden_sizes=list(sizes.widths),
        depths=list(sizes.depths),
        layer_type="bottleneck",
        num_labels=sizes.classes,
    )
    return transformers.ResNetForImageClassification(config)


def convolutions(ours: ResNet, theirs: nn.Module) -> list[tuple[Convolution, nn.Module]]:
    """Each convolution with its normalisation, of both."""
    layers = [layer for stage in theirs.resnet.encoder.stages for layer in stage.layers]
    found = [(ours.stem, theirs.resnet.embedder.embedder)]
    for block, layer in zip(ours.blocks, layers, strict=True):
        found += zip((block.reduce, block.middle, block.expand), layer.layer, strict=True)
        if block.shortcut is not None:
            found.append((block.shortcut, layer.shortcut))
    return found


def pairs(ours: ResNet, theirs: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Each parameter of ours, and theirs."""
    head = theirs.classifier[1]
    found = [(ours.head.weight_NC, head.weight), (ours.head.bias_N, head.bias)]
    for mine, other in convolutions(ours, theirs):
        found += [
            (mine.weight_RCkk, other.convolution.weight),
            (mine.norm.weight_C, other.normalization.weight),
            (mine.norm.bias_C, other.normalization.bias),
        ]
    return found


def statistics(ours: ResNet, theirs: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Each running mean and variance of ours, and theirs."""
    return [
        pair
        for mine, other in convolutions(ours, theirs)
        for pair in (
            (mine.norm.mean_C, other.normalization.running_mean),
            (mine.norm.variance_C, other.normalization.running_var),
        )
    ]


def with_our_weights(params: dict, ours: ResNet) -> nn.Module:
    theirs = make_theirs(params)
    found, kept = pairs(ours, theirs), statistics(ours, theirs)
    assert len(found) == len(list(ours.parameters())) == len(list(theirs.parameters()))
    assert len(kept) == len(list(ours.buffers()))
    with torch.no_grad():
        for mine, other in found + kept:
            other.copy_(mine)
    norms = [part for part in theirs.modules() if isinstance(part, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(EPSILON, MOMENTUM)}
    return theirs


def error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("layout", ["channels-first", "channels-last"])
@pytest.mark.parametrize("params", [FORWARD, WHOLE], ids=["tiny", "resnet50"])
def test_logits_are_those_of_transformers(params: dict, layout: str):
    program = make_program({**params, "layout": layout}, "fp32", 7)
    theirs = with_our_weights(params, resnet(program)).eval()

    with torch.no_grad():
        wanted = theirs(*program.inputs).logits
        logits = program()

    assert logits.shape == wanted.shape == (params["batch"], MODELS[params["model"]].classes)
    assert error(logits, wanted) < 1e-5


@pytest.mark.parametrize("layout", ["channels-first", "channels-last"])
def test_loss_gradients_and_statistics_are_those_of_transformers(layout: str):
    program = make_program({**TRAINING, "layout": layout}, "fp32", 7)
    ours = resnet(program)
    theirs = with_our_weights(TRAINING, ours).train()
    image_NCHW, class_N = program.inputs
    wanted = theirs(image_NCHW, labels=class_N).loss
    wanted.backward()

    loss = program()

    assert abs(loss - wanted) < 1e-5 * abs(wanted)
    for mine, other in pairs(ours, theirs):
        assert error(mine.grad, other.grad) < 1e-4
    for mine, other in statistics(ours, theirs):
        assert error(mine, other) < 1e-6


def test_ten_steps_give_the_losses_and_statistics_of_transformers():
    program = make_program(TRAINING, "fp32", 7)
    ours = resnet(program)
    theirs = with_our_weights(TRAINING, ours).train()
    before = [mine.clone() for mine in ours.buffers()]
    image_NCHW, class_N = program.inputs
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3)
    wanted = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = theirs(image_NCHW, labels=class_N).loss
        loss.backward()
        optimizer.step()
        wanted.append(loss.item())

    losses = [program().item() for _ in range(10)]

    assert losses == pytest.approx(wanted, rel=1e-4)
    assert losses[-1] < 0.8 * losses[0]
    assert program.moved_parameters() is True
    for mine, other in statistics(ours, theirs):
        assert error(mine, other) < 1e-4
    assert not any(torch.equal(*pair) for pair in zip(before, ours.buffers(), strict=True))


#: In bf16 a CPU's library copies images between layouts, and its scratch space for the stem alone
#: is as large as all else that the tiny network takes: hence its own layout, and larger images.
LARGER = {"layout": "channels-last", "batch": 64, "side": 64}

TINY = [
    configuration.params
    for configuration in FAMILY.configurations
    if configuration.params["model"] == "resnet-tiny"
]
MEMORY = [(params, "fp32") for params in TINY] + [
    ({**FORWARD, **LARGER}, "bf16"),
    ({**TRAINING, **LARGER}, "bf16"),
]


def test_the_sweep_below_is_not_empty():
    cases = {(params["phase"], params["layout"], dtype) for params, dtype in MEMORY}

    assert len(TINY) == 3
    assert len(cases) == len(MEMORY) == 5


@pytest.mark.parametrize(
    ("params", "dtype"),
    MEMORY,
    ids=[f"{params['phase']}-{params['layout']}-{dtype}" for params, dtype in MEMORY],
)
def test_the_memory_model_holds(params: dict, dtype: str, peak_bytes):
    if dtype == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this CPU's library unrolls bf16 images into matrices: it wants AVX-512")
    modelled = FAMILY.footprint(params, dtype)

    measured = peak_bytes(make_program(params, dtype, 7))

    assert measured == pytest.approx(modelled.peak, rel=0.1)
