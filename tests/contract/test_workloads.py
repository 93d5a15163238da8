"""What every workload must do: each family, configuration and dtype against one contract; its
numbers on each backend that can run here, or on the one named by ``--contract-backend``."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from trnbench.models import inputs
from trnbench.models.accuracy import bound, relative_error
from trnbench.models.costs.mixture_sizes import MODELS as MODEL_SIZES
from trnbench.models.family import DTYPES, Configuration, Family
from trnbench.models.program import Program
from trnbench.models.registry import BUILTIN_NAMES, builtin_families

FAMILIES = builtin_families()

#: Every case that exists, and those of the preset quick, once a dtype.
ALL = [(f, c, d) for f in FAMILIES for c in f.configurations for d in c.dtypes]
QUICK = [
    (f, c, d)
    for f in FAMILIES
    for c in f.configurations
    for d in dict.fromkeys(entry.partition(":")[0] for entry in c.quick)
]

#: The cases whose products FlopCounterMode has no formula for.
UNCOUNTED = (
    "matmul[square-512-int8]",
    "matmul[square-1024-int8]",
    "matmul[square-2048-int8]",
    "matmul[square-4096-int8]",
    "matmul[square-8192-int8]",
)

#: The cases that need less than is counted: half of the square of causal attention.
HALVED = ("causal-512", "causal-2048", "gqa-causal-512")

Case = tuple[Family, Configuration, str]


def is_model(family: Family) -> bool:
    """Whole models have a memory model; operators and blocks have none."""
    return family.footprint is not None


def is_tiny(configuration: Configuration) -> bool:
    return str(configuration.params.get("model", "")).endswith("-tiny")


MODELS = [family for family in FAMILIES if is_model(family)]
#: Every tiny configuration of every model, whatever preset holds it.
TINY = [case for case in ALL if is_model(case[0]) and is_tiny(case[1])]
#: What is run with real numbers: on each backend, and against every way of going wrong.
RUN = QUICK + [case for case in TINY if case not in QUICK]


def name(case: Case) -> str:
    family, configuration, dtype = case
    return f"{family.name}[{configuration.name}-{dtype}]"


#: The same code as for smaller sets, and seconds of memory traffic: its numbers are checked
#: once, and nothing else.
LARGE = ("memory[copy-192MiB-fp32]",)
SMALL = [case for case in RUN if name(case) not in LARGE]
OPERATORS = [case for case in SMALL if not is_model(case[0])]


def each(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=name)


def build(case: Case, seed: int = 7, **changed: float) -> Program:
    family, configuration, dtype = case
    module, function = family.program.split(":")
    make = getattr(importlib.import_module(module), function)
    program = make({**configuration.params, **changed}, dtype, seed)
    assert isinstance(program, Program)
    return program


def as_it_is(value: Tensor | nn.Module) -> Tensor | nn.Module:
    return value


def on_meta(value: Tensor | nn.Module) -> Tensor | nn.Module:
    return value.to("meta")


@pytest.fixture
def meta_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: the largest configurations cost no time and no memory."""

    def empty(*shape: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, device="meta", dtype=dtype)

    def floating(draw: inputs.Draw, *shape: int, **_: float) -> Tensor:
        return empty(*shape, dtype=draw.dtype)

    def counted(_: inputs.Draw, count: int, limit: int) -> Tensor:
        assert count <= limit
        return empty(count, dtype=torch.int64)

    def small(_: inputs.Draw, *shape: int) -> Tensor:
        return empty(*shape, dtype=torch.int8)

    for method in ("normal", "uniform", "unset"):
        monkeypatch.setattr(inputs.Draw, method, floating)
    monkeypatch.setattr(inputs.Draw, "indices", counted)
    monkeypatch.setattr(inputs.Draw, "int8", small)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other are slow where other tests run beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ----------------------------------------------------------------------------- the selection


def test_the_sweeps_below_are_not_empty():
    assert tuple(family.name for family in FAMILIES) == BUILTIN_NAMES
    assert len(FAMILIES) >= 12
    assert len(ALL) > 150
    assert {dtype for _, _, dtype in ALL} == set(DTYPES)
    names = [name(case) for case in ALL]
    assert len(set(names)) == len(names)
    assert len(OPERATORS) > 40
    assert len(SMALL) == len(RUN) - len(LARGE) > len(OPERATORS)
    assert [family.name for family in MODELS] == [
        *("decoder", "mixture", "encoder", "vit", "resnet", "dit"),
    ]
    for family in MODELS:
        phases = {family.phase_of(c) for f, c, _ in TINY if f is family}
        inference = {"prefill", "decode"} if family.phase == "prefill" else {"forward"}
        assert phases == {"training", *inference}


def test_quick_is_small_and_spread():
    entries = [(f, c, entry) for f in FAMILIES for c in f.configurations for entry in c.quick]
    assert 50 <= len(entries) <= 64
    assert {family.name for family, _, _ in entries} == set(BUILTIN_NAMES)
    assert sum(entry.endswith(":compiled") for _, _, entry in entries) in (3, 4)
    assert {entry.partition(":")[0] for _, _, entry in entries} == {"fp32", "bf16", "int8"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_presets_hold_what_the_configuration_has(family: Family):
    assert family.configurations
    for configuration in family.configurations:
        for entry in (*configuration.quick, *configuration.standard):
            dtype, _, mode = entry.partition(":")
            assert dtype in configuration.dtypes
            assert mode in ("", "compiled")
        assert set(configuration.quick) <= set(configuration.standard)
        assert len(set(configuration.standard)) == len(configuration.standard)
        assert "fp16" not in configuration.standard


def test_listing_and_costing_needs_no_torch():
    code = (
        "import sys\n"
        "from trnbench.models.registry import builtin_families\n"
        "from trnbench.models.bounds import bound\n"
        "costs = [f.cost(c.params, d).bytes_moved + (bound(f, d) < 1)\n"
        "         for f in builtin_families() for c in f.configurations for d in c.dtypes]\n"
        "print(len(costs), 'torch' in sys.modules, 'numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == [str(len(ALL)), "False", "False"]


# ------------------------------------------------------------------------------- the numbers


#: What an output buffer holds before the call.
UNSET = -1000.0

#: What a stack has no kernel for, by backend and operator: the operators that then run on the
#: host, which a run reports as FALLBACK_TO_CPU.
FALLS_BACK = {("xla", "_int_mm"): ("aten::_int_mm",)}


#: XLA's CPU device adds bf16 numbers in bf16, every partial sum rounded: a run reports these as
#: NUMERIC_MISMATCH.
ROUNDED_SUMS = {
    ("xla", "reduction[sum-1024x1024-bf16]"),
    ("xla", "softmax[512x1024-bf16]"),
}

#: torch_xla puts the variance of a batch into the running statistics as it is, others the
#: variance of what the batch was drawn from: n / (n - 1) of it. A run reports NUMERIC_MISMATCH.
BIASED_VARIANCE = {
    ("xla", "resnet[resnet-tiny-training-8x32-fp32]"),
    ("xla", "resnet[resnet-tiny-training-8x32-channels-last-fp32]"),
}


def test_the_cases_named_above_exist():
    assert {entry for _, entry in ROUNDED_SUMS | BIASED_VARIANCE} <= {name(case) for case in RUN}


def expected_fallbacks(backend: str, case: Case) -> tuple[str, ...]:
    """int8 products are the only ones that torch makes with an operator of its own."""
    _, _, dtype = case
    return FALLS_BACK.get((backend, "_int_mm"), ()) if dtype == "int8" else ()


@each(RUN)
def test_output_is_within_its_bound(case: Case, contract_backend: str, start_backend):
    family, _, dtype = case
    program = build(case)
    reference = program.in_float64()
    wanted = reference.checked(reference())
    backend = start_backend(contract_backend)
    placed = program.moved(backend.place)
    backend.clear_fallbacks()
    made = placed()
    backend.synchronize()
    fell_back = backend.fallbacks()
    outputs = tuple(tensor.detach().cpu() for tensor in placed.checked(made))

    error, note = relative_error(outputs, wanted)

    assert {tensor.dtype for tensor in wanted} <= {torch.float64, torch.int64}
    assert error is not None, note
    if (contract_backend, name(case)) in ROUNDED_SUMS:
        assert bound(family, dtype) < error < 0.25, note
    elif (contract_backend, name(case)) in BIASED_VARIANCE:
        assert bound(family, dtype) < error < 0.01, note
    else:
        assert error <= bound(family, dtype), note
    assert fell_back == expected_fallbacks(contract_backend, case)
    if dtype == "int8":
        assert outputs[0].dtype == torch.int32
        assert error == 0


@each(SMALL)
def test_bound_call_gives_what_a_call_gives(case: Case):
    first, second = build(case), build(case)

    outputs, bound_outputs = first.checked(first()), second.checked(second.bound_call()())

    assert all(torch.equal(a, b) for a, b in zip(outputs, bound_outputs, strict=True))


def damaged(output: Tensor, by: float) -> Iterator[tuple[str, Tensor]]:
    """The output with what goes wrong in kernels: tiles in other places, parts not computed,
    a scale a little off, an index one too high."""
    if not output.is_floating_point():
        one_off = output.clone()
        one_off.view(-1)[-1] += 1
        yield "one entry is one too high", one_off
    else:
        yield f"scaled by {1 + by}", output * (1 + by)
        broken = output.clone()
        broken.view(-1)[-1] = torch.nan
        yield "one NaN", broken
    if output.dim() == 0:
        return
    tall = output.dim() > 1 and output.numel() > output.shape[-1]
    # One row alone is cut into tiles.
    width = output.shape[-1] if tall else 64 if output.dim() > 1 else 1
    rows = output.reshape(-1, width)
    least = int(rows.double().abs().amax(-1).argmin())
    zeroed = rows.clone()
    zeroed[least] = 0
    half = len(rows) // 2
    yield "the smallest row is zero", zeroed.view_as(output)
    yield "rows moved by one", rows.roll(1, 0).view_as(output)
    yield "halves swapped", torch.cat((rows[half:], rows[:half])).view_as(output)
    yield "first row everywhere", rows[:1].expand_as(rows).reshape(output.shape)


@each(SMALL)
def test_a_wrong_output_exceeds_the_bound(case: Case):
    family, configuration, dtype = case
    limit = bound(family, dtype)
    reference = build(case).in_float64()
    wanted = reference.checked(reference())
    if is_model(family):
        # Logits or loss. A gradient of an embedding has rows of zeros, which hide some damage.
        wanted = wanted[:1]
    constant = configuration.params.get("op") == "fill"
    caught = 0
    for position, tensor in enumerate(wanted):
        for damage, wrong in damaged(tensor, by=max(0.001, 1.5 * limit)):
            if constant and damage.startswith(("rows", "halves", "first")):
                continue  # every row of a filled buffer is alike: nothing could tell
            outputs = (*wanted[:position], wrong, *wanted[position + 1 :])
            error, _ = relative_error(outputs, wanted)
            assert error is None or error > limit, f"output {position}: {damage} isn't seen"
            caught += 1
    # A loss is one number, which has no rows.
    assert caught >= sum(2 if t.dim() == 0 else 3 if constant else 5 for t in wanted)


@each(SMALL)
def test_a_seed_gives_the_same_program_and_another_one_another(case: Case):
    state = torch.get_rng_state()
    first, again, other = build(case), build(case), build(case, seed=8)
    assert torch.equal(torch.get_rng_state(), state)  # the global generator isn't used

    def values(program: Program) -> list[Tensor]:
        module = program.function
        weights = list(module.parameters()) if isinstance(module, nn.Module) else []
        return [*program.inputs, *weights]

    assert values(first)
    assert all(torch.equal(a, b) for a, b in zip(values(first), values(again), strict=True))
    if case[1].params.get("op") != "fill":
        assert not all(torch.equal(a, b) for a, b in zip(values(first), values(other), strict=True))
    assert all(tensor.device.type == "cpu" for tensor in values(first))


@each(SMALL)
def test_rows_of_inputs_differ(case: Case):
    program = build(case)
    unset = 1 if case[0].name == "memory" else 0  # its first input is the buffer to be written
    compared = 0
    for tensor in program.inputs[unset:]:
        if is_model(case[0]) and not (tensor == UNSET).logical_not().any():
            continue  # a cache that the call fills
        rows = tensor.reshape(-1, tensor.shape[-1] if tensor.shape[-1] >= 16 else tensor[0].numel())
        if tensor.dim() < 2:
            rows = tensor.reshape(-1, 1) if not tensor.is_floating_point() else tensor[None]
        if is_model(case[0]):
            rows = rows[(rows != UNSET).any(-1)]  # places that the call fills
        assert len(torch.unique(rows, dim=0)) == len(rows)
        compared += 1
    assert compared or case[1].params.get("op") == "fill"


# ---------------------------------------------------------------------- devices and compilers


def grouped_flops(a: torch.Size, b: torch.Size, *_: object, **__: object) -> int:
    """2 * rows * width * results, whichever of the operands has a matrix for each group."""
    return 2 * a[-2] * a[-1] * b[-1]


#: FlopCounterMode has no formula of its own for the products of experts, each on its own rows.
GROUPED = torch.ops.aten._grouped_mm if hasattr(nn.functional, "grouped_mm") else None
FORMULAS = {} if GROUPED is None else {GROUPED: grouped_flops}


def least_needed_share(family: Family, configuration: Configuration) -> float:
    """The least part of what is counted that a model needs: half, and with "dense" as much of the
    work of experts as tokens were given, which is the same with "grouped"."""
    if configuration.params.get("dispatch") != "dense":
        return 0.5
    assert family.cost is not None
    apart = {**configuration.params, "dispatch": "grouped", "precision": "plain"}
    needed = family.cost(apart, "fp32").flops
    assert needed == family.cost(configuration.params, "fp32").flops
    sizes = MODEL_SIZES[str(configuration.params["model"])]
    return 0.5 * sizes.chosen / sizes.experts


@pytest.mark.usefixtures("meta_inputs")
@each(ALL)
def test_runs_without_naming_a_device_and_costs_what_torch_counts(case: Case):
    family, configuration, dtype = case
    program = build(case).moved(on_meta)
    grouped = configuration.params.get("dispatch") == "grouped"
    if grouped and GROUPED is None:
        with pytest.raises(NotImplementedError, match=r"wants 2\.10 or later"):
            program()
        return
    counter = FlopCounterMode(display=False, custom_mapping=FORMULAS)
    with counter, sdpa_kernel(SDPBackend.MATH):
        output = program()
    assert all(tensor.is_meta for tensor in program.checked(output))
    assert family.cost is not None

    cost = family.cost(configuration.params, dtype)

    if name(case) in UNCOUNTED:
        assert (counter.get_total_flops(), cost.flops_counted) == (0, None)
        assert cost.uncounted_reason
        assert cost.flops > 0
    else:
        if grouped:
            assert cost.flops_counted is None
            assert "grouped products" in str(cost.uncounted_reason)
        else:
            assert cost.flops_counted == counter.get_total_flops()
            assert cost.uncounted_reason is None
        if is_model(family):
            # Less than is counted: causal attention, padding, what is done twice, and experts
            # that a token wasn't given.
            once = counter.get_total_flops() - cost.flops_recomputed
            share = least_needed_share(family, configuration)
            assert share * once < cost.flops <= once
        elif configuration.name in HALVED:
            assert 0.5 < cost.flops / counter.get_total_flops() < 0.502
        else:
            assert cost.flops == counter.get_total_flops()


def test_the_exceptions_named_above_exist():
    assert set(UNCOUNTED) <= {name(case) for case in ALL}
    attention = next(family for family in FAMILIES if family.name == "attention")
    assert set(HALVED) <= {configuration.name for configuration in attention.configurations}


@each(SMALL)
def test_the_output_has_the_shape_that_meta_predicts(case: Case):
    program = build(case)
    meta = program.moved(on_meta)
    predicted = meta.checked(meta())
    real = program.checked(program())

    assert [(t.shape, t.dtype) for t in predicted] == [(t.shape, t.dtype) for t in real]


@each([case for case in SMALL if case[2] == "fp32"])
def test_compiles_as_one_graph_and_stays_right(case: Case):
    family, _, dtype = case
    program = build(case)
    reference = program.in_float64()
    wanted = reference.checked(reference())
    graphs: list[torch.fx.GraphModule] = []

    def compiler(function: Callable[..., object]) -> Callable[..., object]:
        def keep(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
            graphs.append(graph)
            return graph.forward

        return torch.compile(function, backend=keep, fullgraph=True, dynamic=False)

    torch.compiler.reset()
    compiled = program.moved(as_it_is).compiled_with(compiler)
    first = compiled.checked(compiled())
    error, note = relative_error(first, wanted)
    compiled()

    assert error is not None, note
    assert error <= bound(family, dtype), note
    assert len(graphs) == 1  # and the second call found it again


# ------------------------------------------------------------------------------------- bytes


class Traffic(TorchDispatchMode):
    """Bytes of the operands and results of every operator that isn't a view."""

    def __init__(self) -> None:
        super().__init__()
        self.moved_bytes = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        result = operator(*args, **(kwargs or {}))
        if not operator.is_view:
            touched = tree_leaves((args, kwargs, result))
            self.moved_bytes += sum(t.nbytes for t in touched if isinstance(t, Tensor))
        return result


ONE_BY_ONE = [
    case
    for case in ALL
    if case[0].name in ("matmul", "elementwise", "softmax", "conv2d", "mlp")
    or (case[0].name, case[1].params.get("op")) == ("norm", "layer")
    or case[0].name == "reduction"
]


@pytest.mark.usefixtures("meta_inputs")
@each(ONE_BY_ONE)
def test_bytes_moved_is_the_traffic_of_the_operators(case: Case):
    family, configuration, dtype = case
    program = build(case).moved(on_meta)
    traffic = Traffic()
    with traffic:
        program()
    assert family.cost is not None

    cost = family.cost(configuration.params, dtype)

    if (family.name, configuration.params.get("op")) == ("norm", "layer"):
        # The operator also writes each row's mean and inverse deviation, for the backward pass.
        size = torch.tensor([], dtype=program.inputs[0].dtype).element_size()
        assert 0 < traffic.moved_bytes - cost.bytes_moved <= 2 * 4 * cost.items
        assert size in (2, 4)
    else:
        assert cost.bytes_moved == traffic.moved_bytes


#: What touches a part of an input only, or more than inputs and results.
WITH_PARTS = ("embedding", "mlp_training", "cache_append")


@pytest.mark.usefixtures("meta_inputs")
@each([case for case in ALL if case[0].name not in WITH_PARTS and not is_model(case[0])])
def test_bytes_useful_are_inputs_and_results_once(case: Case):
    family, configuration, dtype = case
    program = build(case).moved(on_meta)
    module = program.function
    weights = list(module.parameters()) if isinstance(module, nn.Module) else []
    result = program()
    touched = {id(tensor): tensor for tensor in (*program.inputs, *weights, result)}
    whole = sum(tensor.nbytes for tensor in touched.values())
    assert family.cost is not None

    cost = family.cost(configuration.params, dtype)

    assert cost.working_set_bytes == whole
    # A decoding step also writes what it appends to the cache.
    appended = 0
    if configuration.params.get("op") == "decode":
        appended = program.inputs[1].nbytes + program.inputs[2].nbytes
    assert cost.bytes_useful == whole + appended
    assert cost.bytes_moved >= cost.bytes_useful


@each(ALL)
def test_costs_state_what_they_are(case: Case):
    family, configuration, dtype = case
    assert family.cost is not None
    cost = family.cost(configuration.params, dtype)

    assert min(cost.flops, cost.vector_flops, cost.scalar_flops, cost.collective_bytes) >= 0
    assert cost.bytes_moved >= cost.bytes_useful > 0
    assert cost.working_set_bytes > 0
    assert cost.items > 0
    assert {"flops": cost.flops, "bytes": cost.bytes_useful, "items": cost.items}[cost.headline] > 0
    assert cost.convention
    assert cost.source
    assert cost.item_unit in ("tokens", "samples", "rows", "elements")


# ---------------------------------------------------------------------------------- training

TRAINING = [case for case in ALL if case[0].phase_of(case[1]) == "training"]
SMALL_TRAINING = [case for case in RUN if case in TRAINING]


def test_training_is_among_the_cases():
    assert {case[2] for case in SMALL_TRAINING} == {"fp32", "bf16"}
    assert {case[0].name for case in SMALL_TRAINING} == {
        "mlp_training",
        *(family.name for family in MODELS),
    }
    assert len(TRAINING) > len(SMALL_TRAINING)


@each(SMALL_TRAINING)
def test_a_training_step_moves_every_parameter(case: Case):
    program = build(case)
    placed = program.moved(as_it_is)
    assert placed.moved_parameters() is False

    first_loss = float(placed())
    losses = [float(placed()) for _ in range(20)]

    assert placed.moved_parameters() is True
    assert program.moved_parameters() is False  # the placed copy trained, not the original
    assert losses[-1] < 0.9 * first_loss


@each(SMALL_TRAINING)
def test_training_at_rate_zero_is_seen_as_standing_still(case: Case):
    program = build(case, learning_rate=0.0)

    program()

    assert program.moved_parameters() is False


@each(SMALL_TRAINING)
def test_one_parameter_that_stands_still_is_seen(case: Case):
    program = build(case)
    module = program.function
    assert isinstance(module, nn.Module)
    frozen = next(iter(module.parameters()))
    kept = frozen.detach().clone()

    program()
    frozen.data.copy_(kept)

    assert program.moved_parameters() is False


def test_a_training_program_is_checked_after_a_call():
    with pytest.raises(RuntimeError, match="3 of 3 parameters have no gradient: call"):
        build(SMALL_TRAINING[0]).checked(torch.zeros(()))


def test_what_trains_nothing_moves_nothing():
    others = [case for case in QUICK if case not in TRAINING]
    assert len(others) > 40
    assert build(others[0]).moved_parameters() is None


@each(SMALL_TRAINING)
def test_the_parts_of_a_step_make_one_step(case: Case):
    """Taken apart or not, two steps leave the same weights."""
    whole, apart = build(case).moved(as_it_is), build(case).moved(as_it_is)

    for _ in range(2):
        whole()
        for _, run in apart.parts():
            run()

    assert [part.name for part in apart.parts()][:3] == ["optimizer", "forward", "backward"]
    trained = (whole.function, apart.function)
    pairs = list(zip(*(list(module.parameters()) for module in trained), strict=True))
    assert pairs
    assert all(torch.equal(first, second) for first, second in pairs)


# ---------------------------------------------------------------------------------- memory


@each([case for case in ALL if is_model(case[0])])
def test_a_memory_model_adds_up(case: Case):
    family, configuration, dtype = case
    assert family.footprint is not None
    need = family.footprint(configuration.params, dtype)
    rest = need.weights + need.inputs + need.cache + need.optimizer

    assert need.peak >= rest > 0
    assert need.peak <= rest + need.activations + need.gradients
    assert (need.gradients > 0) == (family.phase_of(configuration) == "training")
    assert (need.optimizer > 0) == (family.phase_of(configuration) == "training")


@each([case for case in SMALL if is_model(case[0])])
def test_a_memory_model_has_the_weights_and_inputs_that_are_there(case: Case):
    family, configuration, dtype = case
    assert family.footprint is not None
    program = build(case)
    module = program.function
    assert isinstance(module, nn.Module)
    held = {t.data_ptr(): t.nbytes for t in (*module.parameters(), *module.buffers())}

    need = family.footprint(configuration.params, dtype)

    assert need.weights == sum(held.values())
    assert need.inputs + need.cache == sum(tensor.nbytes for tensor in program.inputs)


#: Of a network's millions of activations a few lie beyond zero in fp32 too, and each shows.
CHECKED_ON_ANOTHER_MODEL = ("resnet[resnet50-training-32x224-fp32]",)


@each([case for case in ALL if case[1].checked is not None])
def test_a_smaller_program_is_of_the_same_code(case: Case):
    """Its numerics stand for the whole, so that only sizes may differ."""
    family, configuration, dtype = case
    assert family.cost is not None
    assert configuration.checked is not None
    differing = {
        key
        for key in {*configuration.params, *configuration.checked}
        if configuration.params.get(key) != configuration.checked.get(key)
    }

    assert differing
    sizes = {"layers", "batch", "sequence", "context", "prompt"}
    if name(case) in CHECKED_ON_ANOTHER_MODEL:
        # The same blocks, fewer and narrower.
        sizes |= {"model", "side"}
    assert differing <= sizes
    assert (
        family.cost(configuration.checked, dtype).flops
        < family.cost(configuration.params, dtype).flops
    )
