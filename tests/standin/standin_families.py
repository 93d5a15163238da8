"""The quick preset's workloads and every tiny model, eager and compiled, on the stand-in, each
against its float64 reference on the CPU.

Run as a program where the stand-in is installed; prints a JSON object: each entry's name, and ""
or what went wrong.
"""

from __future__ import annotations

import importlib
import json
import traceback
import warnings

import torch

from trnbench.models.accuracy import bound, relative_error
from trnbench.models.registry import builtin_families


def entries():
    """(name, family, configuration, dtype, compiled)."""
    for family in builtin_families():
        for configuration in family.configurations:
            tiny = str(configuration.params.get("model", "")).endswith("-tiny")
            modes = ("", ":compiled") if tiny else ()
            every = (f"{dtype}{mode}" for dtype in configuration.dtypes for mode in modes)
            for entry in dict.fromkeys((*configuration.quick, *every)):
                dtype, _, mode = entry.partition(":")
                name = f"{family.name}[{configuration.name}-{entry}]"
                yield name, family, configuration, dtype, mode == "compiled"


def compare(family, configuration, dtype, compiled):
    module, function = family.program.split(":")
    program = getattr(importlib.import_module(module), function)(configuration.params, dtype, 7)
    reference = program.in_float64()
    wanted = reference.checked(reference())
    placed = program.moved(lambda value: value.to("neuron"))
    if compiled:
        # As a backend does: torch allows one function so many graphs, and modules share theirs.
        torch.compiler.reset()
        placed = placed.compiled_with(
            lambda f: torch.compile(f, backend="neuron", fullgraph=True, dynamic=False)
        )
    outputs = placed.checked(placed())
    places = {tensor.device.type for tensor in outputs}
    if places != {"neuron"}:
        return f"outputs are on {places}"
    error, note = relative_error(outputs, wanted)
    if error is None or error > bound(family, dtype):
        return f"error {error}, allowed {bound(family, dtype)} ({note})"
    return ""


def main():
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    outcome = {}
    for name, *entry in entries():
        try:
            outcome[name] = compare(*entry)
        except Exception:  # noqa: BLE001 (any failure is the outcome of that entry)
            outcome[name] = traceback.format_exc()
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
