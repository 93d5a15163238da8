"""Residual networks: what their programs compute, and costs worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from trnbench.models.costs.resnet import FAMILY, configuration, cost, footprint
from trnbench.models.costs.resnet_sizes import MODELS, ResNetCall
from trnbench.models.program import Program
from trnbench.models.resnet import BatchNorm, Bottleneck, Convolution, ResNet, make_program

FORWARD = {"model": "resnet-tiny", "phase": "forward", "batch": 4, "side": 32}
TRAINING = {**FORWARD, "phase": "training"}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def resnet(program: Program) -> ResNet:
    return next(part for part in program.function.modules() if isinstance(part, ResNet))


def gradients(program: Program) -> list[Tensor]:
    return [parameter.grad for parameter in program.function.parameters()]


# -------------------------------------------------------- the definition, tap by tap, in float64


def windows(x: Tensor, kernel: int, stride: int, padding_value: float) -> list[Tensor]:
    """What each place of a window sees, row by row."""
    edge, side = kernel // 2, x.shape[-1]
    padded = functional.pad(x, (edge,) * 4, value=padding_value)
    return [
        padded[:, :, row : row + side : stride, column : column + side : stride]
        for row in range(kernel)
        for column in range(kernel)
    ]


def convolve(x: Tensor, convolution: Convolution, stride: int, *, training: bool) -> Tensor:
    weight = convolution.weight_RCkk
    taps = windows(x, weight.shape[-1], stride, 0.0)
    weights = weight.flatten(2).unbind(-1)
    x = sum(torch.einsum("nchw,rc->nrhw", *pair) for pair in zip(taps, weights, strict=True))
    norm = convolution.norm
    mean, variance = norm.mean_C, norm.variance_C
    if training:
        mean = x.mean((0, 2, 3))
        variance = ((x - mean[:, None, None]) ** 2).mean((0, 2, 3))
    scale = norm.weight_C / (variance + 1e-5) ** 0.5
    return (x - mean[:, None, None]) * scale[:, None, None] + norm.bias_C[:, None, None]


def naive_block(x: Tensor, block: Bottleneck, stride: int, *, training: bool) -> Tensor:
    y = convolve(x, block.reduce, 1, training=training).clamp(min=0)
    y = convolve(y, block.middle, stride, training=training).clamp(min=0)
    y = convolve(y, block.expand, 1, training=training)
    if block.shortcut is not None:
        x = convolve(x, block.shortcut, stride, training=training)
    return (x + y).clamp(min=0)


def naive(x: Tensor, net: ResNet, *, training: bool) -> Tensor:
    x = convolve(x, net.stem, 2, training=training).clamp(min=0)
    x = torch.stack(windows(x, 3, 2, -torch.inf)).amax(0)
    for block, stride in zip(net.blocks, (1, 1, 2, 2), strict=True):
        x = naive_block(x, block, stride, training=training)
    return x.mean((2, 3)) @ net.head.weight_NC.T + net.head.bias_N


@pytest.mark.parametrize("layout", ["channels-first", "channels-last"])
@pytest.mark.parametrize("side", [32, 33])
def test_a_forward_pass_is_the_definition(side: int, layout: str):
    program = make_program({**FORWARD, "side": side, "layout": layout}, "fp32", 7).in_float64()
    (x_NCHW,) = program.inputs

    wanted = naive(x_NCHW, resnet(program), training=False)

    assert torch.allclose(program(), wanted, rtol=1e-9, atol=1e-9)
    assert wanted.shape == (4, 64)


def test_a_training_step_is_the_definition():
    program = make_program(TRAINING, "fp32", 7).in_float64()
    x_NCHW, class_N = program.inputs
    net = resnet(program)
    logits = naive(x_NCHW, net, training=True)
    chances = logits.exp() / logits.exp().sum(-1, keepdim=True)
    wanted = -chances[torch.arange(4), class_N].log().mean()
    parameters = list(program.function.parameters())
    of_the_definition = torch.autograd.grad(wanted, parameters)

    loss = program()

    assert torch.allclose(loss, wanted.detach(), rtol=1e-9)
    for gradient, other in zip(gradients(program), of_the_definition, strict=True):
        assert (gradient - other).abs().max() < 1e-8 * other.abs().max()


# ------------------------------------------------------------------------------- statistics


def test_a_step_mixes_a_tenth_of_its_statistics_into_the_running_ones():
    program = make_program(TRAINING, "fp32", 7)
    net = resnet(program)
    before = net.stem.norm.mean_C.clone(), net.stem.norm.variance_C.clone()
    with torch.no_grad():
        x_NCHW = functional.conv2d(program.inputs[0], net.stem.weight_RCkk, stride=2, padding=3)
    variance, mean = torch.var_mean(x_NCHW, (0, 2, 3))  # the unbiased one

    program()

    assert torch.allclose(net.stem.norm.mean_C, 0.9 * before[0] + 0.1 * mean, atol=1e-6)
    assert torch.allclose(net.stem.norm.variance_C, 0.9 * before[1] + 0.1 * variance, atol=1e-5)


def test_inference_leaves_the_statistics_as_they_are():
    program = make_program(FORWARD, "fp32", 7)
    before = [kept.clone() for kept in program.function.buffers()]

    program()

    assert len(before) == 2 * sum(isinstance(m, BatchNorm) for m in program.function.modules())
    assert all(map(torch.equal, before, program.function.buffers()))


def test_each_micro_batch_has_statistics_of_its_own():
    program = make_program({**TRAINING, "micro_batches": 2, "learning_rate": 0.0}, "fp32", 7)
    net = resnet(program)
    x_NCHW, class_N = program.inputs
    with torch.no_grad():
        halves = [
            functional.cross_entropy(naive(x, net, training=True), labels)
            for x, labels in zip(x_NCHW.chunk(2), class_N.chunk(2), strict=True)
        ]

    assert torch.allclose(program(), torch.stack(halves).mean(), rtol=1e-4)


# --------------------------------------------------------------------------- what is checked


def test_a_step_in_fp32_is_checked_by_every_gradient_and_statistic():
    program = make_program(TRAINING, "fp32", 7)

    checked = program.checked(program())

    parameters = list(program.function.parameters())
    assert len(checked) == 1 + len(parameters) + len(list(program.function.buffers()))
    assert all(map(torch.equal, checked[1:], gradients(program)))


@pytest.mark.parametrize("options", [{}, {"precision": "autocast"}])
def test_a_step_in_bf16_is_checked_by_the_norm_of_its_gradients(options: dict):
    program = make_program({**TRAINING, **options}, "bf16", 7)
    loss = program()
    norm = program.checked(loss)[1]
    wanted = torch.cat([gradient.double().flatten() for gradient in gradients(program)]).norm()
    for parameter in list(program.function.parameters())[:3]:
        parameter.grad = torch.zeros_like(parameter)  # a backward pass that stopped early

    stopped = program.checked(loss)

    assert len(stopped) == 2 + len(list(program.function.buffers()))
    assert float(norm) == pytest.approx(float(wanted), rel=1e-5)
    assert norm.dtype == torch.float32
    assert stopped[1] < 0.93 * norm


def test_a_layout_is_that_of_weights_and_images():
    first, last = (
        make_program({**FORWARD, "layout": layout}, "fp32", 7)
        for layout in ("channels-first", "channels-last")
    )

    for tensor in (last.inputs[0], resnet(last).stem.weight_RCkk):
        assert tensor.is_contiguous(memory_format=torch.channels_last)
        assert not tensor.is_contiguous()
    assert first.inputs[0].is_contiguous()
    assert torch.equal(first.inputs[0], last.inputs[0])
    assert torch.allclose(first(), last(), atol=1e-4)
    assert last.in_float64().inputs[0].is_contiguous(memory_format=torch.channels_last)


def test_images_differ_in_more_than_noise():
    program = make_program(FORWARD, "fp32", 7)

    logits = program()

    assert program.inputs[0].mean((2, 3)).std(0).min() > 0.2
    assert (logits - logits.mean(0)).abs().max() > 0.05 * logits.abs().max()


# ------------------------------------------------------------------------------------- costs


@pytest.mark.parametrize(
    ("model", "parameters", "products"),
    [("resnet50", 25_557_032, 4.09e9), ("resnet101", 44_549_160, 7.80e9)],
)
def test_a_named_model_is_as_large_as_was_published(model: str, parameters: int, products: float):
    """Multiply-adds of an image: the model cards of the same models (v1.5) in torchvision."""
    call = {"model": model, "phase": "forward", "batch": 1, "side": 224}

    assert MODELS[model].parameters == parameters
    assert cost(call, "bf16").flops == pytest.approx(2 * products, rel=1e-3)


def test_parameters_and_statistics_are_those_of_the_program():
    program = make_program(FORWARD, "fp32", 7)
    sizes = MODELS["resnet-tiny"]

    assert sum(held.numel() for held in program.function.parameters()) == sizes.parameters
    assert sum(held.numel() for held in program.function.buffers()) == sizes.statistics


def test_the_work_of_a_forward_pass():
    found = cost(FORWARD, "fp32")

    products = 256 * 3 * 16 * 49  # the stem: 16 by 16 pixels; the pool leaves 8 by 8
    products += 64 * (16 * 8 + 8 * 8 * 9 + 8 * 32 + 16 * 32)
    products += 64 * (32 * 8 + 8 * 8 * 9 + 8 * 32)
    products += 64 * 32 * 16 + 16 * (16 * 16 * 9 + 16 * 64 + 32 * 64)
    products += 16 * 64 * 32 + 4 * (32 * 32 * 9 + 32 * 128 + 64 * 128)
    products += 128 * 64
    assert found.flops == found.flops_counted == 4 * 2 * products
    assert (found.items, found.item_unit) == (4, "samples")


def test_a_training_leaves_out_the_gradient_of_the_images():
    forward, training = cost(FORWARD, "fp32").flops, cost(TRAINING, "fp32").flops

    assert 3 * forward - training == 2 * 4 * 256 * 3 * 16 * 49


@pytest.mark.parametrize(
    "params", [{**FORWARD, "side": 33}, {**TRAINING, "side": 37}, {**TRAINING, "micro_batches": 2}]
)
def test_odd_sides_and_parts_of_batches_are_counted_too(params: dict):
    program = make_program(params, "fp32", 7)
    with FlopCounterMode(display=False) as counter:
        program()

    assert cost(params, "fp32").flops_counted == counter.get_total_flops() > 0


def test_the_bytes_that_a_forward_pass_must_carry():
    found = cost(FORWARD, "bf16")

    sizes = MODELS["resnet-tiny"]
    images, logits = 4 * 3 * 32 * 32, 4 * 64
    assert found.bytes_useful == 2 * (sizes.parameters + sizes.statistics + images + logits)
    assert found.bytes_moved > found.bytes_useful


def test_the_memory_of_a_forward_pass():
    """The first block's, whose branches end in 32 channels of 8 by 8."""
    found = footprint(FORWARD, "fp32")

    assert found.activations == 4 * 4 * 64 * (16 + 4 * 32)
    assert found.peak == found.weights + found.inputs + found.activations


def test_the_memory_of_a_training_step_grows_with_what_runs_together():
    whole, parts = footprint(TRAINING, "fp32"), footprint({**TRAINING, "micro_batches": 4}, "fp32")
    more = footprint({**TRAINING, "batch": 8}, "fp32")

    assert more.activations == 2 * whole.activations
    assert 4 * parts.activations == whole.activations
    assert whole.gradients == parts.gradients == 4 * MODELS["resnet-tiny"].parameters
    assert whole.optimizer == 2 * whole.gradients


# ----------------------------------------------------------------------- calls, configurations


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model": "resnet"}, "'model' must be one of resnet-tiny, resnet50, resnet101, not"),
        ({"phase": "decode"}, "'phase' must be one of forward, training, not 'decode'"),
        ({"layout": "last"}, "'layout' must be one of channels-first, channels-last, not 'last'"),
        ({"side": 0}, "'side' must be a positive integer, not 0"),
        ({"batch": 65}, "'batch' must be at most 64, not 65"),
        ({"micro_batches": 3}, "'micro_batches' must divide 4, not be 3"),
        ({"recompute": True}, "'recompute' must be false: a block that ran twice"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict, words: str):
    with pytest.raises(ValueError, match=words):
        ResNetCall.of({**TRAINING, **wrong})


def test_inference_takes_more_images_than_there_are_classes():
    assert ResNetCall.of({**FORWARD, "batch": 65}).batch == 65


def test_a_configuration_is_named_after_what_it_is():
    plain = configuration("resnet50", "forward", 8, 224)
    other = configuration(
        "resnet50", "training", 8, 64, layout="channels-last", checked={"batch": 2}, suffix="-x"
    )

    assert plain.name == "resnet50-forward-8x224"
    assert other.name == "resnet50-training-8x64-channels-last-x"
    assert other.checked == {**other.params, "batch": 2}
    assert (plain.checked, plain.phase, other.phase) == (None, "forward", "training")


def test_configurations_hold_every_model():
    held = {(c.params["model"], c.phase) for c in FAMILY.configurations}

    assert {model for model, _ in held} == set(MODELS)
    assert {phase for model, phase in held if model != "resnet101"} == {"forward", "training"}
