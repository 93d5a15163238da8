"""Variables under which a figure would be of something else than was asked for: one rule."""

from __future__ import annotations

from collections.abc import Mapping

from .protocol import Settings

_OFF = frozenset({"", "0", "false"})
#: Variables of both Neuron stacks under which graphs are collected: outputs are invalid then, and
#: compiling is all that can be done. ``neuron_parallel_compile`` sets the first.
_COLLECTING = {
    "NEURON_EXTRACT_GRAPHS_ONLY": "compiles graphs and computes nothing",
    "TORCH_NEURONX_COMPILE_ONLY": "compiles graphs and computes nothing",
}


def find_ruled_out(
    environment: Mapping[str, str], settings: Settings, effects: Mapping[str, str]
) -> str | None:
    """Why nothing can be measured under these variables, and what to do; ``None`` if it can.

    ``effects``: variables of a stack -> what they do. Each is on with any value but "", "0" and
    "false": what a stack takes for "on" differs between variables and releases.
    """
    found = effects if settings.compile_only else _COLLECTING | dict(effects)
    for name, effect in found.items():
        value = environment.get(name, "")
        if value.lower() not in _OFF:
            return f"{name}={value} {effect}, so that nothing can be measured: unset it"
    return None
