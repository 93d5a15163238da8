"""``trnbench ceiling`` without a device: levels, the best of sweeps, the stored file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from trnbench.backends import registry
from trnbench.backends.protocol import Settings
from trnbench.bench import ceiling as ceiling_command
from trnbench.bench.ceiling import (
    CeilingError,
    case_working_sets,
    ceiling_path,
    combine,
    explain_absence,
    find_ceiling,
    load_ceiling,
    measure_ceiling,
    prepare_folder,
    run_ceiling_command,
    store_ceiling,
)
from trnbench.bench.ceiling_best import (
    best_bandwidths,
    best_clock_hz,
    best_dispatch_s,
    best_matmuls,
    unresolved_working_sets,
)
from trnbench.bench.ceiling_levels import cache_sizes, default_working_sets, level_of
from trnbench.bench.ceiling_sweep import Identity, MatmulTiming, Sweep, TransferTiming
from trnbench.bench.ceiling_table import print_ceiling
from trnbench.bench.defaults import DEFAULT_OUT
from trnbench.bench.errors import UsageError
from trnbench.models.registry import builtin_families
from trnbench.results.record import Device
from trnbench.specs.attained import (
    AttainedBandwidth,
    AttainedCeiling,
    AttainedMatmul,
    CacheSize,
)
from trnbench.specs.cost import Cost
from trnbench.specs.roofline import floor
from trnbench.specs.roofs import roof_of_attained

KIB = 2**10
MIB = 2**20
CACHES = [CacheSize("L1", 96 * KIB), CacheSize("L2", 4 * MIB), CacheSize("L3", 105 * MIB)]


def make_device(**facts):
    return Device(
        name="a processor",
        chip=None,
        chip_reason="made up",
        share=None,
        index=0,
        cores_used=2,
        memory_bytes=16 * 2**30,
        driver=None,
        facts=facts,
    )


def make_transfer(traffic, operator, best_s, empty_s=1e-6, size=MIB, moved=MIB):
    return TransferTiming(
        traffic=traffic,
        operator=operator,
        working_set_bytes=size,
        moved_bytes=moved,
        best_s=best_s,
        empty_s=empty_s,
    )


def make_sweep(transfers=(), matmuls=(), dispatch_s=2e-6, clock_hz=3e9):
    return Sweep(
        identity=Identity(device=make_device(), threads=2),
        caches=CACHES,
        matmuls=list(matmuls),
        transfers=list(transfers),
        dispatch_s=dispatch_s,
        clock_hz=clock_hz,
        clock_note="",
        skipped=[],
    )


def make_ceiling(**changes):
    whole = AttainedCeiling(
        id="20261122T000000Z-abcdef",
        time="2026-11-22T00:00:00+00:00",
        backend="cpu",
        device="a processor",
        threads=2,
        torch="2.13.0",
        matmul={"fp32": AttainedMatmul(2e11, (512, 256, 128), "linear")},
        bandwidth=(
            AttainedBandwidth(64 * KIB, 8e10, None, 7e10, {"read": "dot", "triad": "add"}),
            AttainedBandwidth(2 * MIB, 6e10, 5e10, 4e10),
            AttainedBandwidth(210 * MIB, 1e10, 2e10, 1.5e10),
        ),
        dispatch_s=2e-6,
        clock_hz=3e9,
        machine="0123456789ab",
        caches=tuple(CACHES),
    )
    return replace(whole, **changes)


# ---------------------------------------------------------------------- levels


def test_private_caches_count_once_a_core_and_shared_ones_once():
    facts = {"l1d_bytes": 48 * KIB, "l2_bytes": 2 * MIB, "l3_bytes": 105 * MIB, "l3_shared_by": 2}
    assert cache_sizes(make_device(**facts)) == CACHES


def test_a_core_complex_of_one_core_needs_two_third_levels_for_two_cores():
    facts = {"l1d_bytes": 32 * KIB, "l2_bytes": MIB, "l3_bytes": 32 * MIB, "l3_shared_by": 1}
    assert cache_sizes(make_device(**facts))[-1] == CacheSize("L3", 64 * MIB)


def test_unknown_caches_are_left_out_and_never_guessed():
    assert cache_sizes(make_device(l1d_bytes=48 * KIB, l2_bytes=None)) == [
        CacheSize("L1", 96 * KIB)
    ]
    assert cache_sizes(make_device()) == []


def test_an_accelerator_has_its_second_level():
    assert cache_sizes(make_device(l2_bytes=50 * MIB)) == [CacheSize("L2", 50 * MIB)]


@pytest.mark.parametrize(
    ("size", "level"),
    [
        (16 * KIB, "L1"),
        (96 * KIB, "L1"),
        (96 * KIB + 1, "L2"),
        (4 * MIB, "L2"),
        (50 * MIB, "L3"),
        (105 * MIB + 1, "HBM"),
    ],
)
def test_a_working_set_belongs_to_the_smallest_level_that_holds_it(size, level):
    assert level_of(size, CACHES, "HBM") == level


def test_each_level_gets_two_working_sets_and_main_memory_too():
    sizes = default_working_sets(CACHES, 16 * 2**30, also=[384 * KIB, 192 * MIB], near=1.25)
    levels = [level_of(size, CACHES) for size in sizes]
    assert {name: levels.count(name) >= 2 for name in ("L1", "L2", "L3", "DRAM")} == {
        "L1": True,
        "L2": True,
        "L3": True,
        "DRAM": True,
    }
    assert sizes == sorted(set(sizes))
    assert {384 * KIB, 192 * MIB} <= set(sizes)
    assert sizes[0] == 16 * KIB
    assert 4 * CACHES[-1].bytes in sizes
    assert all(size in sizes for size in (48 * KIB, 72 * KIB, 2 * MIB, 3 * MIB))
    assert max(sizes) <= 512 * MIB


def test_a_very_large_cache_still_gets_sets_beyond_it():
    huge = [CacheSize("L3", 384 * MIB)]
    sizes = default_working_sets(huge, None)
    assert sum(size > 384 * MIB for size in sizes) >= 2


def test_working_sets_stay_within_an_eighth_of_the_memory():
    sizes = default_working_sets(CACHES, 1 * 2**30, also=[192 * MIB])
    assert sizes
    assert max(sizes) == 128 * MIB


def test_without_known_caches_the_sweep_still_spans_small_to_large():
    sizes = default_working_sets([], None)
    assert sizes[0] == 16 * KIB
    assert sizes[-1] == 512 * MIB
    assert len(sizes) >= 6


def test_working_sets_of_memory_bound_cases_are_measured_or_a_slightly_larger_one_is():
    sizes = case_working_sets()
    wanted = {
        family.cost(configuration.params, entry.partition(":")[0]).working_set_bytes
        for family in builtin_families()
        if family.name == "memory"
        for configuration in family.configurations
        for entry in configuration.quick
    }
    assert len(wanted) >= 3
    for size in wanted:
        assert any(size <= measured <= 1.15 * size for measured in sizes)
    # A product of large matrices isn't bound by memory: its size needs no measurement.
    assert len(sizes) <= 16


# ---------------------------------------------------------------------- the best of sweeps


def test_the_best_product_of_any_process_wins():
    slow = MatmulTiming(dtype="fp32", operator="mm", shape=(512, 512, 512), best_s=2e-3)
    fast = MatmulTiming(dtype="fp32", operator="linear", shape=(512, 512, 512), best_s=1e-3)
    other = MatmulTiming(dtype="bf16", operator="mm", shape=(256, 128, 64), best_s=1e-4)
    best = best_matmuls([make_sweep(matmuls=[slow, other]), make_sweep(matmuls=[fast])])
    assert best == {"fp32": fast, "bf16": other}
    assert best["fp32"].flops_per_s == pytest.approx(2 * 512**3 / 1e-3)


def test_a_shape_is_stored_as_m_n_k(monkeypatch):
    timing = MatmulTiming(dtype="fp32", operator="mm", shape=(10, 20, 30), best_s=1e-3)
    made = combine("cpu", Settings(threads=2), [make_sweep(matmuls=[timing])])
    assert made.matmul["fp32"].shape == (10, 30, 20)
    assert made.matmul["fp32"].flops_per_s == pytest.approx(2 * 10 * 20 * 30 / 1e-3)
    assert made.memory == "DRAM"
    assert made.threads == 2


def test_dispatch_is_taken_off_and_the_fastest_operator_named():
    moved = 1_000_000
    sweep = make_sweep(
        [
            make_transfer("read", "dot", 11e-6, moved=moved),
            make_transfer("read", "sum", 21e-6, moved=moved),
            make_transfer("copy", "copy_", 51e-6, moved=moved),
            make_transfer("triad", "add", 41e-6, moved=moved),
        ]
    )
    (point,) = best_bandwidths([sweep])
    assert point.read_bytes_per_s == pytest.approx(moved / 10e-6)
    assert point.copy_bytes_per_s == pytest.approx(moved / 50e-6)
    assert point.triad_bytes_per_s == pytest.approx(moved / 40e-6)
    assert dict(point.operators) == {"read": "dot", "copy": "copy_", "triad": "add"}


def test_the_least_times_of_all_processes_are_joined():
    disturbed = make_sweep([make_transfer("read", "dot", 30e-6, empty_s=1e-6)])
    quiet = make_sweep([make_transfer("read", "dot", 12e-6, empty_s=2e-6)])
    (point,) = best_bandwidths([disturbed, quiet])
    # 12 us, less the least dispatch of 1 us: the figure errs to the low side.
    assert point.read_bytes_per_s == pytest.approx(MIB / 11e-6)


def test_what_dispatch_hides_is_unknown_rather_than_fast():
    hidden = make_transfer("copy", "copy_", 1.01e-6)
    sweep = make_sweep([hidden])
    assert best_bandwidths([sweep]) == ()
    assert unresolved_working_sets([sweep]) == [MIB]


def test_a_slow_operator_does_not_stand_in_for_a_fast_one_that_dispatch_hides():
    hidden = make_transfer("read", "dot", 1.1e-6, size=32 * KIB, moved=32 * KIB)
    slow = make_transfer("read", "mv", 3e-6, size=32 * KIB, moved=32 * KIB)
    copied = make_transfer("copy", "neg_", 2e-6, size=32 * KIB, moved=64 * KIB)
    (point,) = best_bandwidths([make_sweep([hidden, slow, copied])])
    assert point.read_bytes_per_s is None
    assert point.triad_bytes_per_s is None
    assert point.copy_bytes_per_s == pytest.approx(64 * KIB / 1e-6)


def test_a_call_no_longer_than_its_dispatch_gives_no_negative_rate():
    odd = make_transfer("read", "dot", 0.9e-6, empty_s=1e-6)
    fine = make_transfer("read", "sum", 2e-6, empty_s=1e-6, moved=MIB * 100)
    (point,) = best_bandwidths([make_sweep([odd, fine])])
    assert point.read_bytes_per_s == pytest.approx(100 * MIB / 1e-6)


def test_points_ascend_and_clock_and_dispatch_are_the_best():
    sweeps = [
        make_sweep(
            [make_transfer("read", "dot", 1e-4, size=size) for size in (4 * MIB, MIB)],
            dispatch_s=3e-6,
            clock_hz=None,
        ),
        make_sweep(dispatch_s=2e-6, clock_hz=2.5e9),
    ]
    assert [p.working_set_bytes for p in best_bandwidths(sweeps)] == [MIB, 4 * MIB]
    assert best_dispatch_s(sweeps) == 2e-6
    assert best_clock_hz(sweeps) == 2.5e9
    assert best_clock_hz([make_sweep(clock_hz=None)]) is None


def test_the_roof_of_a_case_adds_dispatch_to_the_bandwidth_of_its_size():
    cost = Cost(
        flops=0,
        flops_counted=0,
        bytes_moved=MIB,
        bytes_useful=MIB,
        working_set_bytes=MIB,
        items=1,
        item_unit="rows",
        headline="bytes",
        convention="",
        source="",
    )
    held = floor(cost, roof_of_attained(make_ceiling(), "fp32"))
    assert held.seconds == pytest.approx(MIB / 6e10 + 2e-6)
    assert held.bound == "L2"


# ---------------------------------------------------------------------- the stored file


def test_a_stored_ceiling_comes_back_unchanged(tmp_path):
    ceiling = make_ceiling()
    path = store_ceiling(tmp_path / "runs", ceiling)
    assert path.name == "ceiling-cpu-0123456789ab-t2.json"
    assert load_ceiling(path) == ceiling
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_a_device_without_threads_has_none_in_its_file_name(tmp_path):
    path = store_ceiling(tmp_path, make_ceiling(backend="cuda", threads=None))
    assert path.name == "ceiling-cuda-0123456789ab.json"
    assert find_ceiling(tmp_path, "0123456789ab", "cuda", None, "2.13.0") is not None


def test_storing_again_replaces_the_older_one(tmp_path):
    store_ceiling(tmp_path, make_ceiling(id="old"))
    store_ceiling(tmp_path, make_ceiling(id="new"))
    found = find_ceiling(tmp_path, "0123456789ab", "cpu", 2, "2.13.0")
    assert found is not None
    assert found.id == "new"


def test_a_failed_write_leaves_the_older_one_and_no_draft(tmp_path):
    path = store_ceiling(tmp_path, make_ceiling(id="old"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        store_ceiling(tmp_path, make_ceiling(id="new", clock_hz=float("nan")))
    assert load_ceiling(path).id == "old"
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("0123456789ab", "cpu", 2, "2.14.0"), ["torch 2.13.0", "2.14.0", "--threads 2"]),
        (("0123456789ab", "cpu", 1, "2.13.0"), ["stored for 2 threads", "not for 1"]),
        (("ba9876543210", "cpu", 2, "2.13.0"), ["no ceiling of this machine", "trnbench ceiling"]),
        (("0123456789ab", "cuda", None, "2.13.0"), ["no ceiling", "--backend cuda"]),
    ],
)
def test_a_ceiling_of_something_else_does_not_apply_and_says_why(tmp_path, asked, words):
    store_ceiling(tmp_path, make_ceiling())
    assert find_ceiling(tmp_path, *asked) is None
    reason = explain_absence(tmp_path, *asked)
    for word in words:
        assert word in reason


def test_a_file_under_the_name_of_another_machine_does_not_apply(tmp_path):
    path = store_ceiling(tmp_path, make_ceiling())
    path.rename(ceiling_path(tmp_path, "ba9876543210", "cpu", 2))
    assert find_ceiling(tmp_path, "ba9876543210", "cpu", 2, "2.13.0") is None
    assert "machine 0123456789ab" in explain_absence(tmp_path, "ba9876543210", "cpu", 2, "2.13.0")


def test_the_command_for_a_ceiling_names_the_folder_of_the_runs(tmp_path):
    asked = ("0123456789ab", "cpu", 2, "2.13.0")

    assert explain_absence(tmp_path, *asked).endswith(f"--threads 2 --out {tmp_path}")
    assert explain_absence(DEFAULT_OUT, "no machine", *asked[1:]).endswith("--threads 2")


def test_a_ceiling_that_applies_needs_no_reason(tmp_path):
    store_ceiling(tmp_path, make_ceiling())
    assert find_ceiling(tmp_path, "0123456789ab", "cpu", 2, "2.13.0") == make_ceiling()
    assert explain_absence(tmp_path, "0123456789ab", "cpu", 2, "2.13.0") == ""


def _broken(change):
    data = json.loads(make_ceiling().to_json())
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "JSON"),
        ("[]", ""),
        ("", "JSON"),
        (_broken(lambda d: d.pop("dispatch_s")), "dispatch_s"),
        (_broken(lambda d: d["matmul"]["fp32"].update(flops_per_s="fast")), "matmul.fp32"),
        (_broken(lambda d: d["matmul"]["fp32"].update(flops_per_s=-1.0)), "matmul.fp32"),
        (_broken(lambda d: d.update(matmul=[])), "matmul"),
        (_broken(lambda d: d["bandwidth"][0].pop("working_set_bytes")), "working_set_bytes"),
        (_broken(lambda d: d["bandwidth"][1].update(copy_bytes_per_s=0)), "copy_bytes_per_s"),
        (_broken(lambda d: d.update(clock_hz=float("nan"))), "clock_hz"),
        (_broken(lambda d: d.update(threads="two")), "threads"),
        (_broken(lambda d: d.update(caches=[{"name": "L1"}])), "caches.0"),
        (_broken(lambda d: d.update(surprise=1)), "surprise"),
    ],
)
def test_a_broken_file_is_one_message_with_the_file_the_field_and_the_mend(tmp_path, text, field):
    path = ceiling_path(tmp_path, "0123456789ab", "cpu", 2)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CeilingError) as caught:
        find_ceiling(tmp_path, "0123456789ab", "cpu", 2, "2.13.0")
    message = str(caught.value)
    assert str(path) in message
    assert field in message
    assert "trnbench ceiling" in message
    assert "\n" not in message


def test_a_folder_in_place_of_the_file_is_named(tmp_path):
    path = ceiling_path(tmp_path, "0123456789ab", "cpu", 2)
    path.mkdir()
    with pytest.raises(CeilingError, match="can't be read"):
        load_ceiling(path)


def test_a_ceiling_that_can_t_be_written_is_one_message(tmp_path):
    path = ceiling_path(tmp_path, "0123456789ab", "cpu", 2)
    path.mkdir()
    with pytest.raises(CeilingError, match=r"can be stored there.*--out") as caught:
        store_ceiling(tmp_path, make_ceiling())
    assert str(path) in str(caught.value)
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_can_t_be_written_is_refused_before_minutes_of_measuring(
    tmp_path, monkeypatch
):
    def refuse(*_args, **_kwargs):
        raise AssertionError("measured for a folder that can't be written")

    monkeypatch.setattr(ceiling_command, "run_sweep", refuse)
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(CeilingError, match=r"can be stored there.*--out"):
            measure_ceiling("cpu", Settings(threads=1), out, quick=True, progress=print)


def test_a_folder_made_for_a_ceiling_is_as_a_run_makes_it(tmp_path):
    prepare_folder(tmp_path / "a" / "runs")
    assert [child.name for child in (tmp_path / "a" / "runs").iterdir()] == [".gitignore"]


# ---------------------------------------------------------------------- the command


@pytest.mark.parametrize("names", [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_backend_that_fails_takes_no_other_ones_ceiling_with_it(
    tmp_path, monkeypatch, capsys, names
):
    def measure(name, *_args):
        if name == "cuda":
            raise UsageError("the worker of cuda ended")
        return make_ceiling(id="of the cpu")

    monkeypatch.setattr(ceiling_command, "_available", registry.create)
    monkeypatch.setattr(ceiling_command, "measure_ceiling", measure)
    with pytest.raises(UsageError, match="the worker of cuda ended"):
        run_ceiling_command(names, 2, tmp_path, quick=True, if_missing=False, as_json=True)
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == ["of the cpu"]


def test_an_unknown_backend_is_refused_with_the_near_name(tmp_path):
    with pytest.raises(UsageError, match=r"unknown backend 'cpuu'.*Did you mean 'cpu'"):
        run_ceiling_command(("cpuu",), None, tmp_path, quick=True, if_missing=False, as_json=False)


def test_a_stored_ceiling_is_printed_and_not_measured_again(tmp_path, monkeypatch, capsys):
    here = ceiling_command.environment(2)
    store_ceiling(
        tmp_path, make_ceiling(machine=here.machine, torch=here.versions["torch"], threads=2)
    )

    def refuse(*_args, **_kwargs):
        raise AssertionError("measured although a ceiling is stored")

    monkeypatch.setattr(ceiling_command, "measure_ceiling", refuse)
    code = run_ceiling_command(("cpu",), 2, tmp_path, quick=True, if_missing=True, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [one["id"] for one in printed] == ["20261122T000000Z-abcdef"]


@pytest.mark.parametrize("state", ["stale", "broken", "absent"])
def test_what_does_not_apply_is_measured_again_and_the_reason_told(
    tmp_path, monkeypatch, capsys, state
):
    here = ceiling_command.environment(2)
    if state == "stale":
        store_ceiling(tmp_path, make_ceiling(machine=here.machine, torch="1.0", threads=2))
    elif state == "broken":
        ceiling_path(tmp_path, here.machine, "cpu", 2).write_text("{}", encoding="utf-8")
    measured = []

    def measure(name, settings, out, quick, progress):
        measured.append((name, settings.threads, out, quick))
        return make_ceiling(id="fresh")

    monkeypatch.setattr(ceiling_command, "measure_ceiling", measure)
    run_ceiling_command(("cpu",), 2, tmp_path, quick=True, if_missing=True, as_json=True)
    captured = capsys.readouterr()
    assert measured == [("cpu", 2, tmp_path, True)]
    assert [one["id"] for one in json.loads(captured.out)] == ["fresh"]
    expected = {"stale": "torch 1.0", "broken": "field 'id'", "absent": "no ceiling of this"}
    assert expected[state] in captured.err


def test_the_table_shows_levels_units_and_the_file(tmp_path):
    console = Console(record=True, width=120, file=(tmp_path / "printed").open("w"))
    with console.file:
        print_ceiling(make_ceiling(), Path("ceiling-cpu-x-t2.json"), console)
        text = console.export_text()
    rows = {line.split("│")[1].strip(): line for line in text.splitlines() if line[:1] == "│"}
    assert {"L1", "L2", "DRAM", "fp32"} <= set(rows)
    assert "200 GFLOP/s" in rows["fp32"]
    assert "512 x 256 x 128" in rows["fp32"]
    assert "64 KiB" in rows["L1"]
    assert "80 GB/s" in rows["L1"]
    assert "210 MiB" in rows["DRAM"]
    assert "20 GB/s" in rows["DRAM"]
    assert "2 us" in text
    assert "3 GHz" in text
    assert "ceiling-cpu-x-t2.json" in text
