"""Whether a case fits the memory that there is, by its model, before minutes are spent on it."""

from __future__ import annotations

from ..models.family import Family
from ..results.quantity import format_bytes
from ..results.record import CaseKey, Failure
from ..specs.cost import Footprint

#: Bytes of an element of the reference.
FLOAT64_BYTES = 8
#: Bytes of an element of the dtypes that models have; the others have no footprint.
ELEMENT_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}

MEND = "choose a configuration with fewer layers or a smaller batch, or raise --bench-memory-limit"


def refuse_on_device(
    family: Family, key: CaseKey, *, on_host: bool, device_bytes: int | None, limit_bytes: int
) -> Failure | None:
    """Why the case can't be measured: a program is made on the host, and moved as a copy.

    ``device_bytes`` is the device's memory, None where it isn't known; ``limit_bytes`` is what a
    worker may have on the host, which is the device ``on_host``.
    """
    footprint = _footprint(family, key)
    if footprint is None:
        return None
    kept = _kept_weights(footprint, key)
    building = 2 * footprint.weights + kept + footprint.inputs + footprint.cache
    if on_host:
        return _refusal("to be built and run", max(building, footprint.peak + kept), limit_bytes)
    if device_bytes is not None and footprint.peak > device_bytes:
        return Failure(
            message=f"needs {format_bytes(footprint.peak)} by its memory model, and the device "
            f"has {format_bytes(device_bytes)}",
            mend="choose a configuration with fewer layers or a smaller batch",
            kind="memory",
        )
    return _refusal("to be built", building, limit_bytes)


def refuse_reference(family: Family, key: CaseKey, limit_bytes: int) -> Failure | None:
    """Why the float64 reference of the case can't be computed on this host."""
    footprint = _footprint(family, key)
    if footprint is None:
        return None
    wider = FLOAT64_BYTES // ELEMENT_BYTES.get(key.dtype, FLOAT64_BYTES)
    # Autocast keeps weights in fp32, whatever it computes in.
    autocast = key.params.get("precision") == "autocast"
    wider_weights = FLOAT64_BYTES // ELEMENT_BYTES["fp32"] if autocast else wider
    # A reference updates nothing: it has no optimizer's state.
    rest = footprint.peak - footprint.optimizer - footprint.weights
    needed = (1 + wider_weights) * footprint.weights + _kept_weights(footprint, key) + wider * rest
    return _refusal("for its reference", needed, limit_bytes)


def checked_key(family: Family, key: CaseKey) -> CaseKey:
    """The case whose numerics stand for this one's: itself, or a smaller one of the same code."""
    for configuration in family.configurations:
        if configuration.name == key.configuration and configuration.checked is not None:
            return key.model_copy(update={"params": dict(configuration.checked)})
    return key


def describe_smaller(key: CaseKey, checked: CaseKey) -> str:
    """In which parameters the case that was checked differs: "layers=1"."""
    return ", ".join(
        f"{name}={value}" for name, value in checked.params.items() if key.params.get(name) != value
    )


def _kept_weights(footprint: Footprint, key: CaseKey) -> int:
    """A program that trains keeps the weights that it began with, to see them move."""
    return footprint.weights if key.phase == "training" else 0


def _footprint(family: Family, key: CaseKey) -> Footprint | None:
    return None if family.footprint is None else family.footprint(key.params, key.dtype)


def _refusal(what: str, needed: int, limit_bytes: int) -> Failure | None:
    if needed <= limit_bytes:
        return None
    return Failure(
        message=f"needs {format_bytes(needed)} of the host's memory {what}, and a worker may have "
        f"{format_bytes(limit_bytes)}",
        mend=MEND,
        kind="memory",
    )
