from __future__ import annotations

import math

import pytest
import torch

from trnbench.models.accuracy import relative_error

WANTED = torch.tensor([1.0, -4.0, 2.0], dtype=torch.float64)


def test_equal_tensors_have_no_error():
    assert relative_error((WANTED.float(),), (WANTED,)) == (0.0, "")


def test_the_error_is_relative_to_the_largest_reference_value():
    output = torch.tensor([1.5, -4.0, 2.0])

    assert relative_error((output,), (WANTED,))[0] == pytest.approx(0.125)


def test_the_worst_tensor_counts_and_is_named():
    one, two = torch.tensor([1.0]), torch.tensor([3])

    error, note = relative_error((one * 1.25, two + 1), (one, two))

    assert error == 1
    assert note == "output 1: 1 of 1 integers differ"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_has_no_error_to_give(value: float):
    error, note = relative_error((torch.tensor([1.0, value, 2.0]),), (WANTED,))

    assert error is None
    assert note.startswith("1 of 3 values")


def test_infinities_that_the_reference_has_too_agree():
    wanted = torch.tensor([-math.inf, 2.0], dtype=torch.float64)

    assert relative_error((wanted.float(),), (wanted,))[0] == 0
    assert relative_error((-wanted.float(),), (wanted,))[0] is None
    assert relative_error((torch.tensor([0.0, 2.0]),), (wanted,))[0] is None


def test_a_tensor_of_agreeing_infinities_has_no_error():
    wanted = torch.full((2,), math.inf)

    assert relative_error((wanted,), (wanted,))[0] == 0


def test_integers_count_entries_that_differ_however_large_they_are():
    wanted = torch.tensor([10**6, 5, 7])

    assert relative_error((wanted + torch.tensor([1, 0, 0]),), (wanted,))[0] == 1
    assert relative_error((wanted.int(),), (wanted.double(),))[0] == 0


def test_a_reference_of_zeros_makes_the_error_absolute():
    error, note = relative_error((torch.tensor([0.25]),), (torch.zeros(1),))

    assert error == 0.25
    assert "absolute" in note


def test_shapes_and_numbers_of_tensors_must_agree():
    with pytest.raises(ValueError, match=r"shape \(3, 1\) and its reference \(3,\)"):
        relative_error((WANTED.unsqueeze(1),), (WANTED,))
    with pytest.raises(ValueError, match="has 1 tensors and the reference 2"):
        relative_error((WANTED,), (WANTED, WANTED))
    with pytest.raises(ValueError, match="no tensor"):
        relative_error((), ())


def test_gradients_may_be_compared_as_they_are():
    output = WANTED.clone().requires_grad_()

    assert relative_error((output,), (WANTED,))[0] == 0
