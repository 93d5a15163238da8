"""Models of other people: found by name, with the inputs that were stated, in inference and in
training."""

from __future__ import annotations

import sys
from collections import OrderedDict
from dataclasses import dataclass
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trnbench.models.foreign import (
    ForeignTraining,
    draw_inputs,
    forward_program,
    loss_of,
    main_output,
    tensors_of,
    training_program,
)
from trnbench.models.input_spec import read_inputs
from trnbench.models.inputs import Draw
from trnbench.models.module import make_program

SIZE = 8


class Block(nn.Module):
    def __init__(self, drop=0.5):
        super().__init__()
        self.linear = nn.Linear(SIZE, SIZE)
        self.dropout = nn.Dropout(drop)
        self.attn_drop = drop

    def forward(self, x):
        x = self.dropout(self.linear(x))
        return functional.dropout(x, self.attn_drop, training=self.training)


class Fixed(nn.Module):
    def forward(self, x):
        return 2 * x


class Given:
    """Anything that can be called, with an argument to be made."""

    def __init__(self, size):
        self.size = size

    def __call__(self, x):
        return x * self.size


@pytest.fixture
def mine(monkeypatch):
    """A module that somebody wrote."""
    module = ModuleType("their_models")
    module.Block = Block
    module.block = Block()
    module.make = lambda size=SIZE: nn.Linear(size, 4)
    module.make_any = lambda **options: nn.Linear(SIZE, 4, **options)
    module.function = lambda x, scale=3.0: x * scale
    module.several = lambda *tensors: sum(tensors)
    module.masked = lambda x, mask: x.masked_fill(mask, 0.0)
    module.swapped = lambda x, *, first, second: x + first - 2 * second
    module.relu = torch.relu
    module.given = Given(2)
    module.Given = Given
    module.Inner = type("Inner", (), {"fixed": Fixed()})
    module.number = 3
    module.tensor = torch.ones(SIZE)
    module.make_tensor = lambda: torch.ones(SIZE)
    module.make_nothing = lambda: None
    module.fails = lambda: 1 / 0
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def program(name, inputs=f"2x{SIZE}", phase="forward", dtype="fp32", seed=5):
    params = {"target": f"their_models:{name}", "inputs": inputs, "phase": phase}
    return make_program(params, dtype, seed)


# -------------------------------------------------------------------------- what a name means


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("block", Block),
        ("Block", Block),
        ("make", nn.Linear),
        ("make_any", nn.Linear),
        ("Inner.fixed", Fixed),
    ],
)
def test_a_module_is_an_object_a_class_or_what_a_function_returns(mine, name, kind):
    made = program(name)

    assert type(made.function) is kind
    assert made().shape == (2, 4 if kind is nn.Linear else SIZE)


@pytest.mark.parametrize(
    ("name", "factor"), [("function", 3), ("several", 1), ("given", 2), ("Inner.fixed", 2)]
)
def test_a_function_of_tensors_is_called_with_them(mine, name, factor):
    made = program(name)

    assert torch.equal(made(), factor * made.inputs[0])


def test_a_function_in_c_has_no_signature_and_is_called(mine):
    made = program("relu")

    assert torch.equal(made(), made.inputs[0].clamp(min=0))


def test_any_number_of_tensors_is_as_many_as_are_given(mine):
    made = program("several", "2x3 2x3 2x3")

    assert torch.equal(made(), sum(made.inputs))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", "their_models:number is int; wanted an nn.Module, a class of one, a function"),
        ("tensor", "their_models:tensor is Tensor; wanted an nn.Module"),
        ("make_tensor", r"make_tensor\(\) returned Tensor; wanted an nn.Module. A function of"),
        ("make_nothing", r"make_nothing\(\) returned NoneType; wanted an nn.Module"),
        ("masked", r"masked\(x, mask\) can't take the 1 --input given \(missing .*'mask'\); give"),
        ("swapped", r"can't take the 1 --input given \(missing .*'first'"),
        ("Given", "missing 1 required positional argument: 'size'"),
    ],
)
def test_a_wrong_target_says_what_it_is_and_what_is_wanted(mine, name, message):
    with pytest.raises(TypeError, match=message):
        program(name)


def test_inputs_that_a_function_does_not_take_are_refused(mine):
    with pytest.raises(TypeError, match=r"can't take the 3 --input given \(too many positional"):
        program("masked", "2x3 2x3 2x3")
    with pytest.raises(TypeError, match=r"can't take the 3 --input .*unexpected keyword.*'other'"):
        program("masked", "2x3 mask=2x3 other=2x3")


def test_a_name_that_is_not_there_is_named(mine):
    with pytest.raises(AttributeError, match=r"their_models.*'nothing'"):
        program("nothing")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_of_theirs"):
        make_program(
            {"target": "no_such_module_of_theirs:x", "inputs": "2", "phase": "forward"}, "fp32", 1
        )


def test_what_a_factory_raises_is_raised(mine):
    with pytest.raises(ZeroDivisionError):
        program("fails")


def test_a_seed_gives_the_same_weights_and_inputs(mine):
    first, again, other = program("make"), program("make"), program("make", seed=6)

    assert torch.equal(first(), again())
    assert torch.equal(first.function.weight, again.function.weight)
    assert not torch.equal(first.function.weight, other.function.weight)
    assert not torch.equal(first.inputs[0], other.inputs[0])


def test_weights_are_the_same_whether_their_module_was_imported_before(tmp_path, monkeypatch):
    text = "import torch\n\nDRAWN = torch.rand(3)\nmake = lambda: torch.nn.Linear(2, 2)\n"
    (tmp_path / "draws_when_imported.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    params = {"target": "draws_when_imported:make", "inputs": "1x2", "phase": "forward"}
    try:
        first, again = (make_program(params, "fp32", 5) for _ in range(2))
    finally:
        module = sys.modules.pop("draws_when_imported")

    assert torch.equal(first.function.weight, again.function.weight)
    # Weights that a module makes as it is imported are of the seed too.
    assert torch.equal(module.DRAWN, torch.rand(3, generator=torch.Generator().manual_seed(5)))


# --------------------------------------------------------------------------------- the inputs


def test_inputs_are_drawn_as_they_are_stated():
    specs = read_inputs(["64x4", "64:fp32", "64x9<7", "64:uint8<256", "64:bool"])

    drawn = draw_inputs(specs, Draw("bf16", seed=2))

    assert [t.dtype for t in drawn] == [
        *(torch.bfloat16, torch.float32, torch.int64, torch.uint8, torch.bool),
    ]
    assert [tuple(t.shape) for t in drawn] == [(64, 4), (64,), (64, 9), (64,), (64,)]
    assert set(drawn[2].flatten().tolist()) == set(range(7))
    assert drawn[3].max() > 127
    assert 0 < drawn[4].sum() < 64
    assert float(drawn[0].float().std()) == pytest.approx(1, abs=0.2)


def test_named_inputs_are_handed_over_by_name(mine):
    made = program("swapped", "2x3 second=2x3 first=2x3")
    x, second, first = made.inputs

    assert torch.equal(made(), x + first - 2 * second)


def test_named_inputs_reach_a_module_that_is_moved(mine):
    class Adds(nn.Linear):
        def forward(self, x, *, bonus):
            return super().forward(x) + bonus

    made = forward_program(Adds(3, 3), read_inputs(["2x3", "bonus=2x3"]), "fp32", 1)
    wide = made.in_float64()

    assert len(list(made.function.parameters())) == 2
    assert wide().dtype is torch.float64
    assert torch.allclose(wide().float(), made(), atol=1e-5)


# ---------------------------------------------------------------------------------- inference


def test_inference_is_in_eval_mode_and_without_gradients(mine):
    made = program("block")
    modules = list(made.function.modules())

    assert not any(module.training for module in modules)
    assert not any(parameter.requires_grad for parameter in made.function.parameters())
    assert made().grad_fn is None
    assert torch.equal(made(), made())  # dropout would differ
    assert made.moved_parameters() is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_and_inputs_have_the_dtype_of_the_case(mine, dtype):
    name = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
    made = program("block", dtype=name)

    assert {parameter.dtype for parameter in made.function.parameters()} == {dtype}
    assert made.inputs[0].dtype is made().dtype is dtype


@pytest.mark.parametrize("phase", ["forward", "training"])
def test_the_object_in_the_module_is_left_alone(mine, phase):
    mine.block.linear.bias.requires_grad_(requires_grad=False)
    before = {name: value.clone() for name, value in mine.block.state_dict().items()}

    made = program("block", phase=phase, dtype="bf16")
    for _ in range(2):
        made()

    assert made.function is not mine.block
    after = mine.block.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert {value.dtype for value in after.values()} == {torch.float32}
    assert [parameter.requires_grad for parameter in mine.block.parameters()] == [True, False]
    assert all(parameter.grad is None for parameter in mine.block.parameters())
    assert all(module.training for module in mine.block.modules())
    assert (mine.block.dropout.p, mine.block.attn_drop) == (0.5, 0.5)


# ----------------------------------------------------------------------------------- training


def test_a_training_step_moves_parameters_and_lessens_the_loss(mine):
    made = program("make", "16x8", phase="training")
    assert isinstance(made, ForeignTraining)
    assert made.moved_parameters() is False

    losses = [float(made()) for _ in range(30)]

    assert made.moved_parameters() is True
    assert losses[-1] < 0.98 * losses[0]


@pytest.mark.parametrize("name", ["block", "Block"])
def test_training_is_in_training_mode_with_its_dropout_off(mine, name):
    made = program(name, phase="training")
    block = made.step.loss.model

    assert block.training
    assert not block.dropout.training
    assert block.attn_drop == 0.0
    x = made.inputs[0]
    assert torch.equal(block(x), block(x))
    assert torch.equal(block(x), block.linear(x))


def test_other_kinds_of_dropout_are_switched_off():
    class DropPath(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = 0.9

        def forward(self, x):
            return x * (torch.rand(len(x), 1) > self.p) if self.training else x

    class StochasticDepth(DropPath):
        pass

    layers = OrderedDict(
        a=nn.Linear(4, 4), b=DropPath(), c=StochasticDepth(), d=nn.AlphaDropout(0.5)
    )
    made = training_program(nn.Sequential(layers), read_inputs(["8x4"]), "fp32", 1)
    model = made.step.loss.model

    assert torch.equal(model(made.inputs[0]), model.a(made.inputs[0]))


def test_attention_and_recurrence_lose_their_dropout():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2, dropout=0.9, batch_first=True)
            self.recurrent = nn.GRU(4, 4, num_layers=2, dropout=0.9)

        def forward(self, x):
            return self.recurrent(self.attention(x, x, x)[0])[0]

    made = training_program(Both(), read_inputs(["2x3x4"]), "fp32", 1)
    model, x = made.step.loss.model, made.inputs[0]

    assert torch.equal(model(x), model(x))


def test_a_loss_of_the_models_own_is_taken():
    class Own(nn.Linear):
        def forward(self, x):
            logits = super().forward(x)
            return {"logits": logits, "loss": logits.square().mean()}

    made = training_program(Own(4, 4), read_inputs(["8x4"]), "fp32", 1)
    model, x = made.step.loss.model, made.inputs[0]
    wanted = float(model(x)["loss"].detach())

    assert len(made.inputs) == 1
    assert float(made()) == pytest.approx(wanted)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_without_a_loss_the_distance_from_fixed_numbers_is_one(mine, dtype):
    made = program("make", phase="training", dtype=dtype)
    x, target = made.inputs
    output = made.step.loss.model(x)
    wanted = float((output.detach().float() - target.float()).square().mean())

    loss = made()

    assert target.shape == output.shape
    assert loss.dtype is torch.float32
    assert float(loss) == pytest.approx(wanted)


def test_what_is_compared_are_the_loss_and_the_norms_of_gradients():
    class Partly(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.used(x)

    made = training_program(Partly(), read_inputs(["8x4"]), "fp32", 1)
    wide = made.in_float64()
    loss, norms = made.checked(made())
    used = made.step.loss.model.used

    assert loss.dim() == 0
    assert norms.tolist() == pytest.approx([float(p.grad.norm()) for p in used.parameters()])
    assert made.moved_parameters() is True
    assert [t.dtype for t in wide.checked(wide())] == [torch.float64] * 2


def test_a_loss_without_gradients_cannot_be_checked():
    class Detached(nn.Linear):
        def forward(self, x):
            return super().forward(x)

    made = training_program(Detached(4, 4), read_inputs(["8x4"]), "fp32", 1)

    with pytest.raises(RuntimeError, match="no parameter has a gradient"):
        made.checked(torch.zeros(()))


def test_finding_the_loss_leaves_statistics_alone():
    """A call before the first one would be seen in what a module counts."""
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))

    made = training_program(model, read_inputs(["8x4"]), "fp32", 1)

    assert int(made.step.loss.model[1].num_batches_tracked) == 0


def test_a_model_that_needs_values_finds_its_loss_on_the_cpu():
    class Branches(nn.Linear):
        def forward(self, x):
            return super().forward(x) if float(x.sum()) > -1e9 else x

    made = training_program(Branches(4, 2), read_inputs(["8x4"]), "fp32", 1)

    assert made.inputs[-1].shape == (8, 2)
    assert bool(made().isfinite())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("function", "--phase training wants an nn.Module, and this is a function"),
        ("Inner.fixed", "--phase training wants parameters to train, and this module has none"),
    ],
)
def test_what_has_nothing_to_train_is_refused(mine, name, message):
    with pytest.raises(TypeError, match=message):
        program(name, phase="training")


def test_frozen_parameters_are_none_to_train(mine):
    mine.block.requires_grad_(requires_grad=False)

    with pytest.raises(TypeError, match="wants parameters to train"):
        program("block", phase="training")


def test_an_output_without_a_gradient_is_refused():
    class Picks(nn.Linear):
        def forward(self, x):
            return super().forward(x).argmax(-1)

    with pytest.raises(TypeError, match=r"returned torch\.int64, without a gradient"):
        training_program(Picks(4, 4), read_inputs(["8x4"]), "fp32", 1)


def test_an_unknown_phase_is_refused(mine):
    with pytest.raises(ValueError, match="phase"):
        program("make", phase="backward")


# ------------------------------------------------------------------------------------ outputs


@dataclass
class Result:
    logits: Tensor
    cache: tuple[Tensor, ...]
    loss: Tensor | None = None


A, B, C = torch.zeros(1), torch.ones(2), torch.ones(())


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (A, [A]),
        ((A, B), [A, B]),
        ({"x": A, "more": [B, None, 3]}, [A, B]),
        (Result(A, (B,)), [A, B]),
        (OrderedDict(b=B, a=A), [B, A]),
    ],
)
def test_every_tensor_of_an_output_is_checked(output, found):
    tensors = tensors_of(output)

    assert [id(t) for t in tensors] == [id(t) for t in found]


@pytest.mark.parametrize("output", [None, 3.0, [], {"x": "y"}])
def test_an_output_without_tensors_is_refused(output):
    with pytest.raises(TypeError, match=r"the model returned .*; wanted tensors"):
        tensors_of(output)


@pytest.mark.parametrize(
    ("output", "main", "loss"),
    [
        (A, A, A),
        ((A, B), A, A),
        ({"hidden": A, "logits": B}, B, B),
        ({"first": A, "last_hidden_state": B}, B, B),
        ({"loss": C, "logits": A}, A, C),
        (Result(A, (B,), C), A, C),
        (Result(A, (B,)), A, A),
    ],
)
def test_the_main_output_and_the_loss_go_by_their_names(output, main, loss):
    assert main_output(output) is main
    assert loss_of(output) is loss
