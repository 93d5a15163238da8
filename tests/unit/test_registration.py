"""Workloads of other people: what the decorator registers, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from trnbench import bench_case
from trnbench.bench import registration
from trnbench.bench.errors import UsageError
from trnbench.bench.registration import load_registered, registering_modules, require_importable
from trnbench.bench.stated_cost import stated_cost
from trnbench.models import registry
from trnbench.specs.cost import Cost


def scale(params, dtype, seed):
    """Scale a vector."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    x_n = torch.randn(params.get("rows", 3), generator=generator)
    return torch.mul, (x_n, torch.tensor(2.0))


def nothing(params, dtype, seed):
    return 3


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registration, "_modules", {})


def register(function=scale, **options):
    build = bench_case(name="test_scale", **options)(function)
    return build, registry.family("test_scale")


def test_the_family_says_what_the_decorator_was_told():
    build, family = register(
        params={"small": {"rows": 4}, "large": {"rows": 8}},
        dtypes=("fp32", "bf16"),
        cost=lambda params, _dtype: {"flops": params["rows"], "bytes_moved": 8 * params["rows"]},
        error_bound={"bf16": 0.1},
    )
    assert family.program == f"{__name__}:scale"
    assert family.summary == "Scale a vector."
    assert [(c.name, c.params) for c in family.configurations] == [
        ("small", {"rows": 4}),
        ("large", {"rows": 8}),
    ]
    assert family.configurations[0].quick == ("fp32", "bf16")
    cost = family.cost({"rows": 8}, "fp32")
    assert (cost.flops, cost.bytes_moved, cost.working_set_bytes) == (8, 64, 64)
    assert cost.source == f"{__name__}:scale"
    assert family.error_bound == {"bf16": 0.1}
    program = build({"rows": 8}, "fp32", 1)
    assert program().shape == (8,)
    assert program().tolist() == [2 * x for x in program.inputs[0].tolist()]


@pytest.mark.parametrize(
    ("preset", "quick", "standard"),
    [
        ("quick", ("fp32", "fp32:compiled"), ("fp32", "fp32:compiled")),
        ("standard", (), ("fp32", "fp32:compiled")),
        ("full", (), ()),
    ],
)
def test_presets_hold_it(preset, quick, standard):
    _, family = register(preset=preset, compiled=True)
    [configuration] = family.configurations
    assert configuration.name == "default"
    assert configuration.quick == quick
    assert configuration.standard == standard


def test_parameter_sets_are_named_after_their_values():
    _, family = register(params=[{"rows": 4, "wide": True}, {}])
    assert [c.name for c in family.configurations] == ["rows4-wideTrue", "default"]


def test_without_a_cost_none_is_known():
    assert register()[1].cost is None


def test_what_is_no_program_says_what_was_wanted():
    build, _ = register(nothing)
    with pytest.raises(TypeError, match=r"nothing returned int; wanted \(function or module"):
        build({}, "fp32", 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtypes": ("fp33",)}, "unknown dtype 'fp33'"),
        ({"dtypes": "fp32"}, "write ['fp32']"),
        ({"preset": "quik"}, "Did you mean 'quick'?"),
        ({"params": [{"rows": 4}, {"rows": 4}]}, "2 parameter sets given, 1 of them distinct"),
        ({"params": []}, "no parameter sets given"),
        ({"cost": {"flop": 3}}, "Did you mean 'flops'?"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, words):
    with pytest.raises(UsageError) as refused:
        bench_case(name="test_refused", **options)(scale)
    assert words in str(refused.value)
    with pytest.raises(KeyError):
        registry.family("test_refused")


def test_a_function_that_no_worker_could_import_is_refused():
    def local(params, dtype, seed):
        return None

    with pytest.raises(UsageError, match="move it to the top level of a module"):
        bench_case()(local)


def test_workers_import_the_modules_of_what_was_registered(tmp_path, monkeypatch):
    (tmp_path / "theirs_by_test.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(scale, "__module__", "theirs_by_test")
    register()
    assert registering_modules() == ("theirs_by_test",)
    require_importable(["matmul", "test_scale"])


def test_a_module_that_no_worker_could_import_is_refused(monkeypatch):
    monkeypatch.setattr(scale, "__module__", "only_here_by_test.deeper")
    register()
    assert registering_modules() == ()
    require_importable(["matmul"])
    with pytest.raises(UsageError, match="'test_scale' is registered by 'only_here_by_test"):
        require_importable(["matmul", "test_scale"])


def test_modules_are_loaded_from_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "loaded_by_test.py").write_text("SEEN = 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    load_registered(("loaded_by_test",))
    assert sys.modules.pop("loaded_by_test").SEEN == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "module 'broken_by_test' (--bench-load) can't be imported: ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("from trnbench import bench_case\nbench_case(preset='x')", "unknown preset 'x'"),
    ],
)
def test_a_module_that_cannot_be_loaded_is_named(tmp_path, monkeypatch, text, words):
    if text is not None:
        (tmp_path / "broken_by_test.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    with pytest.raises(UsageError) as refused:
        load_registered(("broken_by_test",))
    assert words in str(refused.value)


def test_entry_points_are_loaded_and_blamed_by_name(monkeypatch):
    group = registration.ENTRY_POINT_GROUP
    point = metadata.EntryPoint("theirs", "no_such_module_of_theirs", group)

    def entry_points(*, group):
        return [point] if group == registration.ENTRY_POINT_GROUP else []

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    with pytest.raises(UsageError, match=r"'no_such_module_of_theirs' of trnbench\.workloads"):
        load_registered()


def test_it_imports_no_torch():
    code = "import sys; from trnbench import bench_case; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("given", "headline"),
    [
        ({"flops": 8}, "flops"),
        ({"bytes_moved": 8}, "bytes"),
        ({"flops": 8, "bytes_moved": 8}, "flops"),
        ({"flops": 8, "items": 3, "item_unit": "rows"}, "items"),
        ({}, "items"),
    ],
)
def test_the_headline_is_what_was_stated(given, headline):
    cost = stated_cost(given, "here")
    assert cost.headline == headline
    assert cost.items == given.get("items", 1)
    assert cost.flops_counted is None
    assert cost.uncounted_reason
    assert isinstance(cost, Cost)
    assert stated_cost(cost, "elsewhere") is cost
