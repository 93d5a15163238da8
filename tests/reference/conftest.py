"""What the comparisons with reference implementations share. All of them are slow: transformers
alone takes seconds to import."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from trnbench.models.program import Program


def pytest_collection_modifyitems(items):
    """Those of this folder alone: the hook is handed the tests of every folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def resting_bytes(program: Program) -> int:
    """What a program holds between its calls: weights, buffers and inputs; the state of an
    optimizer, where one was made."""
    module = program.function
    tensors = list(program.inputs)
    if isinstance(module, nn.Module):
        tensors += [*module.parameters(), *module.buffers()]
        for state in getattr(getattr(module, "optimizer", None), "state", {}).values():
            tensors += [value for value in state.values() if isinstance(value, torch.Tensor)]
        tensors += getattr(module, "masters", None) or []
    storages = {tensor.untyped_storage().data_ptr(): tensor for tensor in tensors}
    return sum(tensor.untyped_storage().nbytes() for tensor in storages.values())


@pytest.fixture
def peak_bytes():
    """The most that is allocated at one time in a call of a program that has run before, by
    torch's profiler: what the program holds at rest, and what its allocator hands out on top."""

    def measure(program: Program) -> int:
        for _ in range(2):  # an optimizer makes its state in the first step
            output = program()
            del output
        module = program.function
        if isinstance(module, nn.Module):
            # The gradients of the last step are freed by the next one: what was allocated before
            # and is freed within would be taken off the peak.
            getattr(module, "clear", module.zero_grad)()
        rest = resting_bytes(program)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            output = program()
        held, most, events = 0, 0, 0
        for event in recorded.profiler.kineto_results.events():
            if event.name() == "[memory]":
                held += event.nbytes()
                most = max(most, held)
                events += 1
        assert events > 0
        del output
        return rest + most

    return measure
