"""The cost that torch counts of a program, against the one that is known of built-in families,
and the bytes of single operators against a count by hand."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional

from trnbench.models.costs.training import TrainingOptions
from trnbench.models.counting import CONVENTION, count_cost, on_meta
from trnbench.models.foreign import forward_program, training_program
from trnbench.models.input_spec import read_inputs
from trnbench.models.program import Program
from trnbench.models.registry import family
from trnbench.models.traffic import watched_traffic
from trnbench.models.training import TrainingProgram, TrainingStep


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def build(workload, configuration, dtype="fp32"):
    found = family(workload)
    (params,) = (c.params for c in found.configurations if c.name == configuration)
    module, function = found.program.split(":")
    program = getattr(importlib.import_module(module), function)(params, dtype, 7)
    return program, found.cost(params, dtype)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("workload", "configuration"),
    [
        ("matmul", "square-512"),
        ("matmul", "batched-16x256"),
        ("matmul", "linear-256x1024"),
        ("mlp", "128x512x1536"),
        ("norm", "layer-512x1024"),
        ("norm", "rms-512x1024"),
        ("softmax", "512x1024"),
        ("attention", "prefill-512"),
        ("attention", "causal-512"),
        ("attention", "decode-1024"),
        ("conv2d", "3x3-64x64"),
        ("conv2d", "depthwise-3x3-128"),
        ("embedding", "1024-of-32000x512"),
        ("cache_append", "64-to-4096x8x128"),
        ("cross_entropy", "64x32000"),
    ],
)
def test_what_is_counted_of_a_built_in_program_is_what_is_known_of_it(
    workload, configuration, dtype
):
    program, known = build(workload, configuration, dtype)

    counted = count_cost(program)

    assert counted.flops == known.flops
    assert counted.flops_counted == known.flops_counted
    assert counted.bytes_useful == pytest.approx(known.bytes_useful, rel=1e-3)
    # Operators one by one move no less than a kernel for all of them.
    assert counted.bytes_moved >= 0.999 * known.bytes_moved
    assert counted.working_set_bytes >= 0.999 * known.working_set_bytes
    assert counted.headline == known.headline
    assert counted.uncounted_reason is None
    assert counted.estimated is True
    assert known.estimated is False
    assert counted.convention == CONVENTION
    assert counted.source.endswith("in one call on the meta device.")


@pytest.mark.parametrize(
    ("workload", "configuration"),
    [
        ("matmul", "square-512"),
        ("mlp", "128x512x1536"),
        ("attention", "prefill-512"),
        ("conv2d", "3x3-64x64"),
        ("embedding", "1024-of-32000x512"),
    ],
)
def test_one_operator_at_a_time_moves_what_is_known_of_it(workload, configuration):
    program, known = build(workload, configuration)

    assert count_cost(program).bytes_moved == known.bytes_moved


def test_a_training_step_is_counted_with_its_optimizer():
    program, known = build("mlp_training", "64x256x768")
    weights = sum(parameter.nbytes for parameter in program.function.parameters())
    before = [parameter.detach().clone() for parameter in program.function.parameters()]

    counted = count_cost(program)

    assert counted.flops == counted.flops_counted == known.flops
    # Weights and AdamW's two moments are read and written; the known cost has the gradients too,
    # which are made in the call.
    assert counted.bytes_useful == pytest.approx(6 * weights, rel=0.05)
    assert counted.bytes_useful < known.bytes_useful
    assert counted.bytes_moved == pytest.approx(known.bytes_moved, rel=0.15)
    # Counting trained a copy.
    after = program.function.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_training_costs_three_times_the_forward_pass():
    """Less the gradient of the inputs, which nobody needs."""
    model, specs = nn.Linear(32, 16, bias=False), read_inputs(["8x32"])

    once = count_cost(forward_program(model, specs, "fp32", 1))
    step = count_cost(training_program(model, specs, "fp32", 1))

    assert once.flops == 2 * 8 * 32 * 16
    assert step.flops == 2 * once.flops


@pytest.mark.parametrize("trains", [False, True])
def test_causal_attention_needs_half_in_training_too(trains):
    def attend(x):
        return functional.scaled_dot_product_attention(x, x, x, is_causal=True)

    class Loss(nn.Module):
        def __init__(self):
            super().__init__()
            self.x = nn.Parameter(torch.zeros(2, 4, 64, 8))

        def forward(self, x):
            return (attend(self.x) + x).sum()

    x = torch.zeros(2, 4, 64, 8)
    program = (
        TrainingProgram(TrainingStep(Loss(), TrainingOptions(optimizer="sgd")), (x,))
        if trains
        else Program(attend, (x,))
    )

    cost = count_cost(program)

    pairs = 2 * 4 * 64 * 65 // 2
    assert cost.flops == (3 if trains else 1) * 2 * pairs * (8 + 8)
    assert 0.5 < cost.flops / cost.flops_counted < 0.51


# ------------------------------------------------------------------------- what isn't counted


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (lambda x: torch._int_mm(x.char(), x.T.char()), "_int_mm"),
        (torch.fft.rfft, "_fft_r2c"),
        (lambda x: torch.cdist(x, x, p=1.0), "_cdist_forward"),
        (lambda x: torch.linalg.inv(x @ x.T), "linalg_inv_ex"),
    ],
)
def test_an_operator_without_a_formula_is_named(function, operator):
    cost = count_cost(Program(function, (torch.eye(32),)))

    assert cost.uncounted_reason == f"no formula for {operator}"


def test_counted_work_beside_uncounted_work_says_so():
    cost = count_cost(Program(lambda x: torch.linalg.inv(x @ x), (torch.eye(8),)))

    assert cost.flops == 2 * 8**3
    assert cost.headline == "flops"
    assert cost.uncounted_reason == "no formula for linalg_inv_ex"


def test_operators_of_others_are_named():
    library = torch.library.Library("trnbench_test", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: 2 * x, "CompositeExplicitAutograd")
    try:
        cost = count_cost(Program(torch.ops.trnbench_test.twice, (torch.ones(4),)))
    finally:
        library._destroy()

    assert cost.uncounted_reason == "no formula for trnbench_test::twice"


@pytest.mark.parametrize(
    "function",
    [
        torch.softmax,
        lambda x, _: functional.gelu(x).square().mean(),
        lambda x, _: x.sort().values.cumsum(0),
        lambda x, _: torch.linalg.vector_norm(x),
        lambda x, _: functional.max_pool2d(x[None, None], 2),
    ],
)
def test_elementwise_work_misses_no_formula(function):
    cost = count_cost(Program(function, (torch.ones(4, 8), 1)))

    assert cost.flops == 0
    assert cost.uncounted_reason is None
    assert cost.headline == "bytes"


def test_what_has_no_tensors_costs_nothing_that_is_known():
    assert count_cost(Program(lambda: None, ())) is None


def test_what_cannot_run_on_the_meta_device_is_counted_on_the_cpu():
    class Branches(nn.Linear):
        def forward(self, x):
            return super().forward(x) if float(x.sum()) > 0 else x

    program = Program(Branches(4, 4).requires_grad_(False), (torch.ones(2, 4),))

    cost = count_cost(program)

    assert cost.flops == 2 * 2 * 4 * 4
    assert cost.bytes_useful == 4 * (2 * 4 + 4 * 4 + 4 + 2 * 4)
    assert cost.source.endswith("in one call on the CPU.")


def test_counting_on_the_cpu_leaves_inputs_and_state_alone():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            x.add_(float(self.calls))
            return x

    module, x = Counts(), torch.ones(3)

    assert count_cost(Program(module, (x,))) is not None
    assert (float(module.calls), x.tolist()) == (0, [1, 1, 1])


def test_what_a_program_raises_is_raised():
    def fails(x):
        raise RuntimeError(f"no such {x.dim()}")

    with pytest.raises(RuntimeError, match="no such 2"):
        count_cost(Program(fails, (torch.ones(2, 2),)))


def test_weights_are_not_copied_to_be_counted():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    model[0].weight.requires_grad_(requires_grad=False)
    model.append(model[0])

    placed = on_meta(Program(model, (torch.ones(2, 4), 3)))

    tensors = [*placed.function.parameters(), *placed.function.buffers(), placed.inputs[0]]
    assert all(tensor.is_meta for tensor in tensors)
    assert placed.inputs[1] == 3
    assert placed.function[2] is placed.function[0]
    assert [p.requires_grad for p in placed.function.parameters()] == [False, True, True, True]
    assert not any(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize(
    ("inputs", "items"),
    [
        ((torch.zeros(3, 5),), (3, "samples")),
        ((torch.zeros(3, 5, dtype=torch.int64),), (15, "tokens")),
        ((torch.zeros(7, dtype=torch.int64),), (7, "samples")),
        ((torch.zeros(()),), (1, "calls")),
        ((1.0, torch.zeros(3, 5)), (3, "samples")),
    ],
)
def test_items_are_rows_or_tokens_of_the_first_tensor(inputs, items):
    cost = count_cost(Program(lambda *given: given[-1] + 1, inputs))

    assert (cost.items, cost.item_unit) == items


def test_a_headline_may_be_asked_for():
    program = Program(torch.mm, (torch.ones(4, 4), torch.ones(4, 4)))

    assert count_cost(program).headline == "flops"
    assert count_cost(program, "items").headline == "items"


# ------------------------------------------------------------------------------------ traffic

ROW = 4 * 8
TABLE = 100 * ROW
IDS = 8 * 3  # three of int64


def traffic_of(function, *inputs):
    with watched_traffic() as traffic:
        output = function(*inputs)
    return traffic.moved, traffic.external_bytes(output), traffic.distinct_bytes()


@pytest.fixture
def table():
    return torch.zeros(100, 8)


IDS_OF_ROWS = torch.tensor([4, 1, 4])


@pytest.mark.parametrize(
    ("function", "moved", "useful"),
    [
        # A row for each id, and the result.
        (lambda t: functional.embedding(IDS_OF_ROWS, t), IDS + 6 * ROW, IDS + 6 * ROW),
        (lambda t: t[IDS_OF_ROWS], IDS + 6 * ROW, IDS + 6 * ROW),
        (lambda t: t.index_select(0, IDS_OF_ROWS), IDS + 6 * ROW, IDS + 6 * ROW),
        # Rows that are written, from a source that is made before.
        (
            lambda t: t.index_copy_(0, IDS_OF_ROWS, torch.ones(3, 8)),
            ROW * 3 + IDS + 6 * ROW,
            IDS + 3 * ROW,
        ),
        (
            lambda t: t.index_add_(0, IDS_OF_ROWS, torch.ones(3, 8)),
            ROW * 3 + IDS + 9 * ROW,
            IDS + 6 * ROW,
        ),
        # Views cost nothing, and what reads one reads no more than it shows.
        (lambda t: t[:2].T.reshape(8, 2)[:, :1] + 1, 2 * ROW, 2 * ROW),
        (lambda t: t[0].expand(50, 8).sum(), ROW + 4, ROW + 4),
        # Written without being read.
        (lambda t: t.zero_(), TABLE, TABLE),
        (lambda t: t.copy_(t[:1].clone()), TABLE + 3 * ROW, TABLE + ROW),
        (lambda t: t.add_(1), 2 * TABLE, 2 * TABLE),
        (lambda t: torch.empty(100, 8), 0, TABLE),
    ],
)
def test_operators_touch_what_they_need(table, function, moved, useful):
    counted, external, _ = traffic_of(function, table)

    assert counted == moved
    assert external == useful


def test_what_is_read_twice_is_useful_once(table):
    moved, useful, distinct = traffic_of(lambda t: (t + 1) * t, table)

    assert moved == 5 * TABLE
    assert useful == 2 * TABLE
    # The operand, and both results at one time.
    assert distinct == 3 * TABLE


def test_results_that_are_gone_are_no_part_of_the_working_set(table):
    def chain(t):
        for _ in range(20):
            t = t + 1
        return t

    moved, useful, distinct = traffic_of(chain, table)

    assert moved == 40 * TABLE
    assert useful == 2 * TABLE
    assert distinct == 3 * TABLE


def test_attention_is_one_operator():
    q = torch.zeros(1, 2, 64, 8)
    mask = torch.zeros(64, 64)

    moved, useful, distinct = traffic_of(
        lambda x: functional.scaled_dot_product_attention(x, x + 1, x, attn_mask=mask), q
    )

    assert moved == 2 * q.nbytes + 4 * q.nbytes + mask.nbytes
    assert useful == 2 * q.nbytes + mask.nbytes
    # Not the square of scores.
    assert distinct == 3 * q.nbytes + mask.nbytes


def test_hooks_of_optimizers_are_gone_afterwards():
    with watched_traffic() as traffic:
        pass
    weight = nn.Parameter(torch.ones(4))
    weight.grad = torch.ones(4)
    torch.optim.AdamW([weight]).step()

    assert traffic.moved == 0
