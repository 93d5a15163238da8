"""Training steps against loops written out by hand, with each option and taken apart."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from trnbench.models.costs import training
from trnbench.models.costs.decoder import cost
from trnbench.models.costs.tally import Tally
from trnbench.models.costs.training import TrainingOptions
from trnbench.models.decoder import make_program
from trnbench.models.training import Autocast, TrainingProgram, TrainingStep

ROWS, WIDTH = 8, 4

DECODER = {"model": "llama-tiny", "phase": "training", "layers": 2, "batch": 4, "sequence": 16}


class Regression(nn.Module):
    """Mean squared error of a layer with an activation."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(torch.tanh(self.layer(x)).float(), target.float())


def make_step(dtype: torch.dtype = torch.float32, **options) -> TrainingProgram:
    """A program of the same numbers at every call."""
    generator = torch.Generator().manual_seed(1)
    loss = Regression()
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    inputs = tuple(torch.randn(ROWS, WIDTH, generator=generator) for _ in range(2))
    step = TrainingStep(loss.to(dtype), TrainingOptions(**options))
    return TrainingProgram(step, tuple(tensor.to(dtype) for tensor in inputs))


def make_decoder(dtype: str = "fp32", **options) -> TrainingProgram:
    program = make_program({**DECODER, **options}, dtype, 7)
    assert isinstance(program, TrainingProgram)
    return program


def weights_of(program: TrainingProgram) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in program.step.parameters()]


def gradients_of(program: TrainingProgram) -> list[Tensor]:
    return [gradient.clone() for gradient in program.checked(torch.zeros(()))[1:]]


def assert_close(found: list[Tensor], wanted: list[Tensor], within: float = 1e-6) -> None:
    assert found
    for one, other in zip(found, wanted, strict=True):
        assert (one - other).abs().max() <= within * other.abs().max()


# --------------------------------------------------------------------------- each option


@pytest.mark.parametrize(
    ("options", "make_optimizer"),
    [
        ({}, lambda p: torch.optim.AdamW(p, lr=1e-3, fused=False)),
        ({"learning_rate": 0.1}, lambda p: torch.optim.AdamW(p, lr=0.1, fused=False)),
        (
            {"optimizer": "sgd", "learning_rate": 0.1},
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=False),
        ),
    ],
    ids=["adamw", "rate", "sgd"],
)
def test_steps_are_those_of_a_plain_loop(options: dict, make_optimizer):
    program = make_step(**options)
    loss_of = copy.deepcopy(program.step.loss)
    optimizer = make_optimizer(loss_of.parameters())
    wanted = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = loss_of(*program.inputs)
        loss.backward()
        optimizer.step()
        wanted.append(loss.item())

    losses = [program().item() for _ in range(5)]

    assert losses == pytest.approx(wanted, rel=1e-6)
    assert losses[-1] < losses[0]
    assert_close(weights_of(program), [p.detach() for p in loss_of.parameters()])


def test_clipping_scales_all_gradients_by_their_norm():
    whole, clipped = make_step(), make_step(clip_norm=0.25)
    whole(), clipped()
    norm = torch.cat([gradient.flatten() for gradient in gradients_of(whole)]).norm()
    assert norm > 0.3

    scaled = [gradient * 0.25 / norm for gradient in gradients_of(whole)]

    assert_close(gradients_of(clipped), scaled, within=1e-5)


def test_gradients_below_the_limit_stay_as_they_are():
    whole, clipped = make_step(), make_step(clip_norm=1000.0)
    whole(), clipped()

    assert_close(gradients_of(clipped), gradients_of(whole), within=0)


def test_clipping_changes_the_step_of_sgd():
    rate = {"optimizer": "sgd", "learning_rate": 1.0}
    program = make_step(clip_norm=0.25, **rate)
    before = weights_of(program)
    program()

    moved = [old - new for old, new in zip(before, weights_of(program), strict=True)]

    assert_close(moved, gradients_of(program), within=1e-5)
    assert torch.cat([tensor.flatten() for tensor in moved]).norm() == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_give_the_gradient_of_the_whole_batch(parts: int):
    whole, cut = make_decoder(), make_decoder(micro_batches=parts)

    losses = whole().item(), cut().item()

    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert_close(gradients_of(cut), gradients_of(whole), within=1e-5)


def test_a_batch_that_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="a batch of 8 can't be cut into 3 equal micro batches"):
        make_step(micro_batches=3)()


@pytest.mark.parametrize("model", ["llama-tiny", "qwen3-tiny", "gpt2-tiny"])
def test_recomputing_gives_the_same_gradients(model: str):
    kept, again = make_decoder(model=model), make_decoder(model=model, recompute=True)

    assert torch.equal(kept(), again())
    assert_close(gradients_of(again), gradients_of(kept), within=0)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("model", ["llama-tiny", "qwen3-tiny", "gpt2-tiny"])
def test_what_is_recomputed_is_what_torch_counts_on_top(model: str, parts: int):
    counted = []
    for recompute in (False, True):
        params = {**DECODER, "model": model, "recompute": recompute, "micro_batches": parts}
        program = make_program(params, "fp32", 7).moved(lambda value: value.to("meta"))
        counter = FlopCounterMode(display=False)
        with counter, sdpa_kernel(SDPBackend.MATH):
            program()
        counted.append(counter.get_total_flops())
        modelled = cost(params, "fp32")
        assert modelled.flops_counted == counted[-1]

    assert modelled.flops_recomputed == counted[1] - counted[0] > 0


# --------------------------------------------------------------------------- precision


def test_master_weights_move_where_plain_ones_are_rounded_back():
    rate = {"learning_rate": 2**-12}  # the spacing of bf16 numbers about one is 2^-7
    programs = [make_step(torch.bfloat16, precision=p, **rate) for p in ("plain", "master")]
    for program in programs:
        with torch.no_grad():
            for parameter in program.step.parameters():
                parameter.fill_(1.0)
        program.initial = tuple(weights_of(program))
        for _ in range(24):
            program()

    plain, master = programs
    assert all((weight == 1).all() for weight in weights_of(plain))
    assert plain.moved_parameters() is False
    assert all((weight != 1).any() for weight in weights_of(master))
    assert master.moved_parameters() is True


def test_master_weights_are_those_of_a_loop_in_fp32_on_bf16_gradients():
    program = make_step(torch.bfloat16, precision="master", learning_rate=0.01, clip_norm=0.25)
    loss_of = copy.deepcopy(program.step.loss)
    masters = [parameter.detach().float() for parameter in loss_of.parameters()]
    optimizer = torch.optim.AdamW(masters, lr=0.01, fused=False)
    for _ in range(5):
        loss_of.zero_grad()
        loss_of(*program.inputs).backward()
        for master, parameter in zip(masters, loss_of.parameters(), strict=True):
            master.grad = parameter.grad.float()
        nn.utils.clip_grad_norm_(masters, 0.25)
        optimizer.step()
        with torch.no_grad():
            for master, parameter in zip(masters, loss_of.parameters(), strict=True):
                parameter.copy_(master)
        program()

    assert [tensor.dtype for tensor in program.step.masters] == [torch.float32] * 2
    assert_close(program.step.masters, masters)
    assert_close(weights_of(program), [p.detach() for p in loss_of.parameters()], within=0)
    assert_close(gradients_of(program), [master.grad for master in masters])


def test_weights_that_are_not_copied_back_have_not_moved():
    program = make_step(torch.bfloat16, precision="master", learning_rate=0.1)
    kept = weights_of(program)
    program()
    assert program.moved_parameters() is True

    with torch.no_grad():
        for parameter, old in zip(program.step.parameters(), kept, strict=True):
            parameter.copy_(old)

    assert program.moved_parameters() is False


def test_autocast_keeps_weights_and_makes_products_in_its_dtype():
    made = []

    class Seen(Regression):
        def forward(self, x: Tensor, target: Tensor) -> Tensor:
            made.append(self.layer(x).dtype)
            return super().forward(x, target)

    loss = Seen()
    x, target = torch.randn(ROWS, WIDTH), torch.randn(ROWS, WIDTH)
    step = TrainingStep(Autocast(loss, torch.bfloat16), TrainingOptions(precision="autocast"))

    step(x, target)

    assert made == [torch.bfloat16]
    assert loss.layer.weight.dtype == loss.layer.weight.grad.dtype == torch.float32


def test_autocast_is_that_of_a_plain_loop():
    program = make_decoder("bf16", precision="autocast")
    loss_of = copy.deepcopy(program.step.loss.loss)
    with torch.autocast("cpu", torch.bfloat16):
        wanted = loss_of(*program.inputs)
    wanted.backward()

    loss = program()

    assert torch.equal(loss, wanted.detach())
    assert_close(gradients_of(program), [p.grad for p in loss_of.parameters()], within=0)
    assert {p.dtype for p in loss_of.parameters()} == {torch.float32}
    assert not torch.equal(loss, make_decoder("fp32")())


def test_autocast_to_full_precision_is_refused():
    with pytest.raises(ValueError, match=r"'autocast' is for products in bf16 or fp16, not torch"):
        Autocast(Regression(), torch.float32)


# --------------------------------------------------------------------------- the program

VARIANTS = [
    {},
    {"optimizer": "sgd", "learning_rate": 0.1},
    {"clip_norm": 0.1},
    {"micro_batches": 2},
    {"recompute": True},
    {"precision": "master"},
    {"precision": "autocast", "recompute": True},
    {"precision": "master", "clip_norm": 0.1, "micro_batches": 2},
]
each_variant = pytest.mark.parametrize("options", VARIANTS, ids=str)


@each_variant
def test_the_parts_of_a_step_make_one_step(options: dict):
    whole, apart = make_decoder("bf16", **options), make_decoder("bf16", **options)
    for _ in range(2):
        whole()
        for part in apart.parts():
            part.run()

    assert_close(weights_of(apart), weights_of(whole), within=0)
    passes = ["forward", "backward"] * options.get("micro_batches", 1)
    names = [part.name for part in apart.parts()]
    assert names == ["optimizer", *passes, "clip", "optimizer"]


@each_variant
def test_the_reference_has_the_gradients_and_no_optimizer(options: dict):
    program = make_decoder("bf16", **options)
    reference = program.in_float64()
    wanted = reference.checked(reference())
    found = program.checked(program())

    assert {tensor.dtype for tensor in wanted} == {torch.float64}
    assert_close(list(found), list(wanted), within=0.08)
    assert reference.step.optimizer is None
    assert all(
        torch.equal(old.double(), new)
        for old, new in zip(program.initial, weights_of(reference), strict=True)
    )


@each_variant
def test_a_compiled_loss_is_one_graph_and_gives_the_same_step(options: dict):
    program = make_decoder("bf16", **options)
    eager = program.moved(copy.deepcopy)
    graphs = []

    def compiler(module: nn.Module):
        def keep(graph: torch.fx.GraphModule, _: list[Tensor]):
            graphs.append(graph)
            return graph.forward

        return torch.compile(module, backend=keep, fullgraph=True, dynamic=False)

    torch.compiler.reset()
    compiled = program.compiled_with(compiler)
    losses = [(compiled().item(), eager().item()) for _ in range(3)]

    assert len(graphs) == 1
    assert [one for one, _ in losses] == pytest.approx([other for _, other in losses], rel=1e-5)
    assert_close(gradients_of(compiled), gradients_of(eager), within=0.02)
    assert compiled.moved_parameters() == eager.moved_parameters()


# The compiler's own use of what torch has deprecated.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize("options", [VARIANTS[0], *VARIANTS[-2:]], ids=str)
def test_a_step_compiled_by_inductor_is_near_the_reference(options: dict):
    program = make_decoder("bf16", **options)
    reference = program.in_float64()
    wanted = reference.checked(reference())

    torch.compiler.reset()
    compiled = program.compiled_with(
        lambda module: torch.compile(module, fullgraph=True, dynamic=False)
    )
    found = compiled.checked(compiled())

    assert_close(list(found), list(wanted), within=0.08)


# --------------------------------------------------------------------------- cost


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"optimizer": "lion"}, "'optimizer' must be one of adamw, sgd, not 'lion'"),
        ({"precision": "fp8"}, "'precision' must be one of plain, master, autocast, not 'fp8'"),
        ({"micro_batches": 0}, "'micro_batches' must be a positive integer, not 0"),
        ({"clip_norm": -1.0}, "'clip_norm' must be a number from 0 up, not -1.0"),
        ({"learning_rate": True}, "'learning_rate' must be a number from 0 up, not True"),
        ({"recompute": 1}, "'recompute' must be true or false, not 1"),
    ],
)
def test_options_that_cannot_be_are_refused(wrong: dict, message: str):
    with pytest.raises(ValueError, match=message):
        TrainingOptions.of(wrong)


def test_options_come_from_parameters_and_leave_the_others_alone():
    options = TrainingOptions.of({"clip_norm": 1, "recompute": True, "batch": 3})

    assert options == TrainingOptions(clip_norm=1, recompute=True)


def update(dtype: str = "bf16", **options) -> tuple[int, int, int]:
    """Operations, roots and bytes a parameter."""
    tally = Tally(dtype)
    training.add_update(tally, TrainingOptions(**options), 1000, dtype)
    assert tally.flops == tally.flops_counted == 0
    return tally.vector // 1000, tally.scalar // 1000, tally.moved // 1000


def test_an_update_costs_what_its_convention_says():
    assert update() == (13, 1, 7 * 2)
    assert update("fp32") == (13, 1, 7 * 4)
    assert update(optimizer="sgd") == (4, 0, 5 * 2)
    assert update(clip_norm=1.0) == (16, 1, 10 * 2)
    # The optimizer's pass in fp32; a gradient of 2 bytes becomes 4, and a weight of 4 becomes 2.
    assert update(precision="master") == (13, 1, 7 * 4 + 6 + 6)
    assert update(precision="autocast") == (13, 1, 7 * 4 + 6 + 6)
    assert update(micro_batches=3) == (15, 1, 7 * 2 + 2 * 3 * 2)


def test_state_is_kept_in_the_dtype_of_the_optimizer():
    def state(dtype: str, **options) -> tuple[int, int]:
        return training.state_bytes(TrainingOptions(**options), 10, dtype)

    assert state("fp32") == (40, 80)
    assert state("bf16") == (20, 40)
    assert state("bf16", optimizer="sgd") == (20, 20)
    assert state("bf16", precision="autocast") == (40, 80)
    # Gradients of 2 and 4 bytes; two moments and the weight of 4.
    assert state("bf16", precision="master") == (60, 120)
    assert state("fp32", precision="master") == (40, 120)


def test_a_step_needs_the_most_of_its_moments():
    def peak(**given) -> int:
        sizes = {
            "parameters": 100,
            "inputs": 0,
            "blocks": 4,
            "block_parameters": 20,
            "block_input": 1,
            "block_kept": 10,
            "block_gradients": 0,
            "kept_elsewhere": 0,
            "loss": 0,
        }
        options = {
            name: given.pop(name) for name in ("recompute", "micro_batches") if name in given
        }
        found = training.footprint(TrainingOptions(**options), "bf16", **{**sizes, **given})
        assert found.peak <= 600 + found.activations + found.gradients
        return found.peak - 600  # weights and moments

    assert peak() == 200 + 1  # all gradients, and that of the input
    assert peak(block_kept=1000, loss=500) == 4 * 1000 + 500
    assert peak(block_kept=1000, block_input=200, recompute=True) == 4 * 200 + 1000
    # In front of the last block, 80 parameters have gradients.
    assert peak(block_kept=1000, block_input=20, recompute=True) == 80 * 2 + 1000
    assert peak(block_kept=1000, loss=500, micro_batches=2) == 200 + 4 * 1000 + 500
    # Two gradients of a tied table of 30, and their sum.
    assert peak(head_parameters=30, embedding_parameters=30, tied=True) == 200 + 2 * 60 + 1


@pytest.mark.parametrize("options", [{}, {"precision": "master"}], ids=str)
def test_a_program_that_has_trained_has_a_reference_too(options):
    program = make_decoder("bf16", **options)
    program()

    reference = program.in_float64()
    loss, *gradients = reference.checked(reference())

    assert loss.dtype == torch.float64
    assert {gradient.dtype for gradient in gradients} == {torch.float64}
