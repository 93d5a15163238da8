"""Configurations of models that are layers of one kind in a row, whole or cut to fewer of them."""

from __future__ import annotations

from ..family import Configuration, Params, Phase, Value


def layered_configuration(
    model: str,
    model_layers: int,
    phase: Phase,
    shape: str,
    params: Params,
    *,
    kind: str = "",
    layers: int | None = None,
    checked: Params | None = None,
    dtypes: tuple[str, ...] = ("fp32", "bf16"),
    quick: tuple[str, ...] = (),
    standard: tuple[str, ...] = (),
    suffix: str = "",
) -> Configuration:
    """One configuration of a named model of ``model_layers`` layers.

    ``shape`` ("2x128") and ``kind`` are parts of its name; ``params`` all of its parameters but
    the model, the phase and the layers. ``layers``: of so many of them; the cost is of those
    alone. ``checked``: what differs in the program that numerics are checked on.
    """
    kept = model_layers if layers is None else layers
    cut = "" if kept == model_layers else f"-{kept}of{model_layers}"
    whole: dict[str, Value] = {
        "model": model,
        "phase": phase,
        "layers": kept,
        "model_layers": model_layers,
        **params,
    }
    return Configuration(
        f"{model}{cut}{kind}-{phase}-{shape}{suffix}",
        whole,
        dtypes,
        quick,
        standard,
        phase=phase,
        checked={**whole, **checked} if checked else None,
    )
