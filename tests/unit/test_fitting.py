"""What needs more memory than there is, and whose numerics stand for whose."""

from __future__ import annotations

import pytest

from trnbench.bench.fitting import (
    checked_key,
    describe_smaller,
    refuse_on_device,
    refuse_reference,
)
from trnbench.models.family import Configuration, Family
from trnbench.results.record import CaseKey
from trnbench.specs.cost import Footprint

GB = 10**9


def footprint(params, dtype):
    size = {"fp32": 4, "bf16": 2}[dtype]
    weights = size * params["layers"] * GB
    return Footprint(weights=weights, inputs=GB, activations=GB, peak=weights + 2 * GB)


def family(*, footprint=footprint, checked=None):
    large = Configuration("large", {"layers": 3, "batch": 1}, phase="prefill", checked=checked)
    return Family("giant", "", "forward", (large,), "nowhere:make", None, footprint=footprint)


def key(**changed):
    fields = {
        "workload": "giant",
        "configuration": "large",
        "params": {"layers": 3, "batch": 1},
        "phase": "prefill",
        "dtype": "bf16",
        "mode": "eager",
        "backend": "cpu",
    }
    return CaseKey.model_validate(fields | changed)


def refuse(*, on_host=False, device_gb=None, limit_gb=100.0, **changed):
    return refuse_on_device(
        family(),
        key(**changed),
        on_host=on_host,
        device_bytes=None if device_gb is None else int(device_gb * GB),
        limit_bytes=int(limit_gb * GB),
    )


@pytest.mark.parametrize(("device_gb", "fits"), [(8.0, True), (7.9, False), (None, True)])
def test_a_device_must_hold_the_peak(device_gb, fits):
    refused = refuse(device_gb=device_gb)

    assert (refused is None) == fits
    if refused:
        assert "needs 8.00 GB by its memory model" in refused.message
        assert "the device has 7.90 GB" in refused.message
        assert "fewer layers" in refused.mend


@pytest.mark.parametrize(("limit_gb", "fits"), [(13.0, True), (12.9, False)])
@pytest.mark.parametrize("on_host", [True, False])
def test_a_host_must_hold_the_program_and_its_copy(limit_gb, fits, on_host):
    refused = refuse(on_host=on_host, limit_gb=limit_gb)

    assert (refused is None) == fits
    if refused:
        assert "needs 13.0 GB of the host's memory" in refused.message
        assert "--bench-memory-limit" in refused.mend


def test_a_host_is_asked_for_the_peak_where_that_is_more():
    wide = family(footprint=lambda *_: Footprint(weights=GB, inputs=0, activations=0, peak=9 * GB))
    asked = {"on_host": True, "device_bytes": None}

    assert refuse_on_device(wide, key(), limit_bytes=9 * GB, **asked) is None
    assert "needs 9.00 GB" in refuse_on_device(wide, key(), limit_bytes=8 * GB, **asked).message


@pytest.mark.parametrize(("dtype", "needed_gb"), [("bf16", 6 + 4 * 8), ("fp32", 12 + 2 * 14)])
def test_a_reference_is_wider_than_the_program(dtype, needed_gb):
    assert refuse_reference(family(), key(dtype=dtype), needed_gb * GB) is None
    refused = refuse_reference(family(), key(dtype=dtype), needed_gb * GB - 1)
    assert f"needs {needed_gb:.1f} GB of the host's memory for its reference" in refused.message


def test_what_has_no_memory_model_is_tried():
    unknown = family(footprint=None)

    assert refuse_reference(unknown, key(), 1) is None
    assert refuse_on_device(unknown, key(), on_host=True, device_bytes=1, limit_bytes=1) is None


def test_a_smaller_program_stands_for_a_large_one():
    large = family(checked={"layers": 1, "batch": 1})
    smaller = checked_key(large, key())

    assert smaller.params == {"layers": 1, "batch": 1}
    assert smaller == key(params={"layers": 1, "batch": 1})
    assert describe_smaller(key(), smaller) == "layers=1"


def test_others_stand_for_themselves():
    assert checked_key(family(), key()) == key()
    # A case from outside the family's own list, as one that a user names.
    assert (
        checked_key(family(checked={"layers": 1}), key(configuration="own")).params["layers"] == 3
    )


def training_footprint(params, dtype):
    del params, dtype
    sizes = {"weights": 2 * GB, "gradients": 2 * GB, "optimizer": 12 * GB}
    return Footprint(**sizes, inputs=GB, activations=3 * GB, peak=20 * GB)


@pytest.mark.parametrize(("precision", "needed_gb"), [("master", 36), ("autocast", 32)])
def test_a_reference_of_a_training_step_has_no_optimizer(precision, needed_gb):
    """Weights as made, as kept and in float64; gradients, inputs and activations in float64."""
    step = key(phase="training", params={"precision": precision})
    trained = family(footprint=training_footprint)

    assert refuse_reference(trained, step, needed_gb * GB) is None
    refused = refuse_reference(trained, step, needed_gb * GB - 1)
    assert f"needs {needed_gb:.1f} GB" in refused.message


def test_a_program_that_trains_keeps_what_it_began_with():
    trained, limits = family(footprint=training_footprint), {"device_bytes": None, "on_host": True}

    assert refuse_on_device(trained, key(), limit_bytes=20 * GB, **limits) is None
    step = key(phase="training")
    assert "22.0 GB" in refuse_on_device(trained, step, limit_bytes=21 * GB, **limits).message
