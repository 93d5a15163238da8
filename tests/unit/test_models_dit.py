"""Diffusion transformers: what their programs compute, and costs worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from trnbench.models.costs.dit import FAMILY, configuration, cost
from trnbench.models.costs.dit_sizes import MODELS, DitCall
from trnbench.models.dit import Block, DiT, NoiseLoss, make_program
from trnbench.models.program import Program
from trnbench.models.transformer import Attention, Linear

FORWARD = {"model": "dit-tiny", "phase": "forward", "layers": 2, "batch": 4}
TRAINING = {**FORWARD, "phase": "training"}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def dit(program: Program) -> DiT:
    return next(part for part in program.function.modules() if isinstance(part, DiT))


def gradients(program: Program) -> list[Tensor]:
    return [parameter.grad for parameter in program.function.parameters()]


# ------------------------------------------- the definition, sample by sample and head by head


def affine(x: Tensor, linear: Linear) -> Tensor:
    return x @ linear.weight_NC.T + linear.bias_N


def silu(x: Tensor) -> Tensor:
    return x / (1 + (-x).exp())


def gelu(x: Tensor) -> Tensor:
    return x / 2 * (1 + ((2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)).tanh())


def normed(x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / ((centred**2).mean(-1, keepdim=True) + 1e-6) ** 0.5


def waves(place: int, count: int) -> tuple[Tensor, Tensor]:
    """Sines and cosines, rounded to fp32 as the tables of a program in fp32 are."""
    angles = [place * math.exp(-math.log(10_000) * i / count) for i in range(count)]
    sines, cosines = ([turn(angle) for angle in angles] for turn in (math.sin, math.cos))
    return torch.tensor(sines).double(), torch.tensor(cosines).double()


def attend(x_TD: Tensor, attention: Attention, heads: int) -> Tensor:
    width = x_TD.shape[-1]
    query, key, value = affine(x_TD, attention.projection).split(width, -1)
    mixed = []
    for head in range(heads):
        part = slice(head * width // heads, (head + 1) * width // heads)
        scores = (query[:, part] @ key[:, part].T / (width // heads) ** 0.5).exp()
        mixed.append(scores / scores.sum(-1, keepdim=True) @ value[:, part])
    return affine(torch.cat(mixed, -1), attention.output)


def naive_block(x_TD: Tensor, block: Block, condition_D: Tensor, heads: int) -> Tensor:
    shift1, scale1, gate1, shift2, scale2, gate2 = affine(condition_D, block.modulation).chunk(6)
    x_TD = x_TD + gate1 * attend(normed(x_TD) * (1 + scale1) + shift1, block.attention, heads)
    hidden = gelu(affine(normed(x_TD) * (1 + scale2) + shift2, block.mlp.up))
    return x_TD + gate2 * affine(hidden, block.mlp.down)


def naive(latent_CYX: Tensor, step: int, label: int, net: DiT, heads: int) -> Tensor:
    channels, side, _ = latent_CYX.shape
    width = net.patches.weight_NC.shape[0]
    tokens = []
    for row in range(side // 2):
        for column in range(side // 2):
            patch = latent_CYX[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            place_D = torch.cat((*waves(column, width // 4), *waves(row, width // 4)))
            tokens.append(affine(patch.flatten(), net.patches) + place_D)
    x_TD = torch.stack(tokens)
    sines, cosines = waves(step, 128)
    time_D = affine(torch.cat((cosines, sines)), net.condition.first)
    time_D = affine(silu(time_D), net.condition.second)
    condition_D = silu(time_D + net.condition.classes_VD[label])
    for block in net.blocks:
        x_TD = naive_block(x_TD, block, condition_D, heads)
    shift, scale = affine(condition_D, net.modulation).chunk(2)
    out_TE = affine(normed(x_TD) * (1 + scale) + shift, net.head)
    out = torch.empty(2 * channels, side, side, dtype=x_TD.dtype)
    for token, numbers in enumerate(out_TE):
        row, column = divmod(token, side // 2)
        patch = numbers.view(2, 2, 2 * channels).permute(2, 0, 1)
        out[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = patch
    return out


def naive_batch(latent_BCYX: Tensor, steps: Tensor, labels: Tensor, net: DiT) -> Tensor:
    each = zip(latent_BCYX, steps.tolist(), labels.tolist(), strict=True)
    return torch.stack([naive(*sample, net, heads=4) for sample in each])


def test_a_forward_pass_is_the_definition():
    program = make_program(FORWARD, "fp32", 7).in_float64()

    wanted = naive_batch(*program.inputs, dit(program))

    assert torch.allclose(program(), wanted, rtol=1e-9, atol=1e-9)
    assert wanted.shape == (4, 8, 16, 16)


def test_a_training_step_is_the_definition():
    program = make_program(TRAINING, "fp32", 7).in_float64()
    latent, noise, steps, labels = program.inputs
    net = dit(program)
    betas = [1e-4 + (0.02 - 1e-4) * step / 999 for step in range(1000)]
    left = [math.prod(1 - beta for beta in betas[: step + 1]) for step in steps]
    signal_part = torch.tensor([part**0.5 for part in left]).double()[:, None, None, None]
    noise_part = torch.tensor([(1 - part) ** 0.5 for part in left]).double()[:, None, None, None]
    noised = signal_part * latent + noise_part * noise
    wanted = ((naive_batch(noised, steps, labels, net)[:, :4] - noise) ** 2).mean()
    of_the_definition = torch.autograd.grad(wanted, list(program.function.parameters()))

    loss = program()

    assert torch.allclose(loss, wanted.detach(), rtol=1e-9)
    for gradient, other in zip(gradients(program), of_the_definition, strict=True):
        assert (gradient - other).abs().max() < 1e-8 * other.abs().max()


# ------------------------------------------------------------------ conditions and modulations


def test_a_block_whose_modulations_are_zero_does_nothing():
    """As after the paper's start, which the weights here are therefore not drawn from."""
    program = make_program(FORWARD, "fp32", 7)
    block = dit(program).blocks[0]
    x_BTD, condition_BD = torch.randn(4, 64, 128), torch.randn(4, 128)
    changed = (block(x_BTD, condition_BD) - x_BTD).abs().max()

    for weight in block.modulation.parameters():
        weight.zero_()

    assert changed > 0.5
    assert torch.equal(block(x_BTD, condition_BD), x_BTD)


@pytest.mark.parametrize("position", [1, 2], ids=["step", "class"])
def test_steps_and_classes_matter_to_their_sample_alone(position: int):
    program = make_program(FORWARD, "fp32", 7)
    inputs = [tensor.clone() for tensor in program.inputs]
    inputs[position][2] = 50 if inputs[position][2] != 50 else 51

    changed = (program.function(*inputs) - program()).flatten(1).abs().amax(-1)

    assert (changed > 0.01).tolist() == [False, False, True, False]


def test_patches_have_places():
    program = make_program(FORWARD, "fp32", 7)
    latent, steps, labels = program.inputs

    right = program.function(latent.roll(2, -1), steps, labels).roll(-2, -1)
    down = program.function(latent.roll(2, -2), steps, labels).roll(-2, -2)

    for moved in (right, down):
        assert (moved - program()).abs().max() > 0.01


def test_late_steps_hold_more_noise():
    program = make_program(TRAINING, "fp32", 7)
    loss = next(part for part in program.function.modules() if isinstance(part, NoiseLoss))
    signal, noise = loss.signal_S111.flatten(), loss.noise_S111.flatten()

    assert torch.allclose(signal**2 + noise**2, torch.ones(1000), atol=1e-6)
    assert (noise.diff() > 0).all()
    assert signal[0] > 0.9999
    assert noise[-1] > 0.9999


def test_the_variance_goes_untrained():
    program = make_program(TRAINING, "fp32", 7)
    program()

    by_channel = dit(program).head.weight_NC.grad.view(4, 8, 128).abs().amax((0, 2))

    assert (by_channel > 0).tolist() == [True] * 4 + [False] * 4


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


def test_every_gradient_is_large_enough_to_be_compared():
    """None is a remainder of terms that cancel, as that of a key's bias alone would be."""
    program = make_program(TRAINING, "fp32", 7)
    program()

    largest = [float(gradient.abs().max()) for gradient in gradients(program)]

    assert min(largest) > 1e-4 * max(largest)


# ------------------------------------------------------------------------------------- costs


@pytest.mark.parametrize(
    ("model", "parameters", "products"),
    [("dit-b-2", 130e6, 23.01e9), ("dit-xl-2", 675e6, 118.64e9)],
)
def test_a_named_model_is_as_large_as_was_published(model: str, parameters: float, products: float):
    """Parameters and multiply-adds: tables 1 and 4 of the paper."""
    layers = MODELS[model].layers
    found = cost({"model": model, "phase": "forward", "layers": layers, "batch": 1}, "bf16")

    assert MODELS[model].parameters(layers) == pytest.approx(parameters, rel=5e-3)
    assert found.flops == pytest.approx(2 * products, rel=5e-4)


@pytest.mark.parametrize("layers", [1, 2])
def test_parameters_and_tables_are_those_of_the_program(layers: int):
    program = make_program({**FORWARD, "layers": layers}, "fp32", 7)
    sizes = MODELS["dit-tiny"]

    held = sum(parameter.numel() for parameter in program.function.parameters())

    assert held == sizes.parameters(layers)
    assert sum(table.numel() for table in program.function.buffers()) == sizes.table_numbers


def test_the_work_of_a_forward_pass():
    found = cost({**FORWARD, "layers": 1, "batch": 3}, "fp32")

    tokens, d, f = 64, 128, 512
    block = tokens * (4 * d * d + 2 * d * f) + 2 * tokens * tokens * d + d * 6 * d
    condition = 256 * d + d * d
    sample = tokens * 16 * d + condition + block + d * 2 * d + tokens * d * 32
    assert found.flops == found.flops_counted == 3 * 2 * sample
    assert (found.items, found.item_unit) == (3, "samples")


def test_a_training_leaves_out_the_gradients_of_latents_and_steps():
    forward, training = cost(FORWARD, "fp32").flops, cost(TRAINING, "fp32").flops

    assert 3 * forward - training == 2 * 4 * 128 * (64 * 16 + 256)


def test_the_bytes_that_a_forward_pass_must_carry():
    found = cost({**FORWARD, "layers": 1}, "bf16")

    sizes, latents = MODELS["dit-tiny"], 4 * 4 * 16 * 16
    read = sizes.parameters(1) - 101 * 128 + 4 * (128 + 256) + 64 * 128
    assert found.bytes_useful == 2 * (read + 3 * latents) + 2 * 4 * 8
    assert found.bytes_moved > found.bytes_useful


@pytest.mark.parametrize("options", [{"micro_batches": 2}, {"recompute": True}])
def test_how_a_step_is_made_leaves_its_useful_work(options: dict):
    plain, other = cost(TRAINING, "fp32"), cost({**TRAINING, **options}, "fp32")

    assert other.flops == plain.flops
    assert other.flops_counted - other.flops_recomputed == plain.flops_counted
    assert (other.flops_recomputed > 0) == ("recompute" in options)


def test_what_is_done_again_is_counted_too():
    params = {**TRAINING, "recompute": True}
    program = make_program(params, "fp32", 7)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        program()

    assert cost(params, "fp32").flops_counted == counter.get_total_flops() > 0


# ----------------------------------------------------------------------- calls, configurations


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model": "dit"}, "'model' must be one of dit-tiny, dit-b-2, dit-xl-2, not 'dit'"),
        ({"phase": "decode"}, "'phase' must be one of forward, training, not 'decode'"),
        ({"layers": 3}, "'layers' must be at most 2, not 3"),
        ({"batch": 101}, "'batch' must be at most 100, not 101"),
        ({"micro_batches": 3}, "'micro_batches' must divide 4, not be 3"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict, words: str):
    with pytest.raises(ValueError, match=words):
        DitCall.of({**TRAINING, **wrong})


def test_a_configuration_is_named_after_what_it_is():
    whole = configuration("dit-b-2", "forward", 8)
    part = configuration("dit-b-2", "training", 8, layers=2, checked={"layers": 1}, suffix="-x")

    assert whole.name == "dit-b-2-forward-8"
    assert part.name == "dit-b-2-2of12-training-8-x"
    assert (part.params["layers"], part.params["model_layers"]) == (2, 12)
    assert part.checked == {**part.params, "layers": 1}
    assert (whole.checked, whole.phase, part.phase) == (None, "forward", "training")


def test_configurations_hold_every_model_in_both_phases():
    held = {(c.params["model"], c.phase) for c in FAMILY.configurations}

    assert held == {(model, phase) for model in MODELS for phase in ("forward", "training")}
