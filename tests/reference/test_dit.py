"""Memory of diffusion transformers against its model. What they compute is held against the
definition in the unit tests: transformers has no such network."""

from __future__ import annotations

import pytest

from trnbench.models.costs.dit import FAMILY
from trnbench.models.dit import make_program

TINY = [
    (configuration.params, dtype)
    for configuration in FAMILY.configurations
    if configuration.params["model"] == "dit-tiny"
    for dtype in configuration.dtypes
]
TRAINING = next(params for params, _ in TINY if params["phase"] == "training")
OTHERS = [
    ({**TRAINING, "micro_batches": 2}, "fp32"),
    ({**TRAINING, "recompute": True}, "fp32"),
    ({**TRAINING, "precision": "autocast"}, "bf16"),
    ({**TRAINING, "precision": "master"}, "bf16"),
]


def test_the_sweep_below_is_not_empty():
    assert {params["phase"] for params, _ in TINY} == {"forward", "training"}
    assert {dtype for _, dtype in TINY} == {"fp32", "bf16"}


@pytest.mark.parametrize(("params", "dtype"), TINY + OTHERS)
def test_the_memory_model_holds(params: dict, dtype: str, peak_bytes):
    modelled = FAMILY.footprint(params, dtype)

    measured = peak_bytes(make_program(params, dtype, 7))

    assert measured == pytest.approx(modelled.peak, rel=0.1)
