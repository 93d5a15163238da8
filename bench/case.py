"""A case: one workload with its parameters, in one dtype and mode, on one backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ..models.family import Value

if TYPE_CHECKING:
    from ..results.record import CaseKey


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured. Typed columns; the names below are made from them, never parsed."""

    workload: str
    configuration: str
    params: Mapping[str, Value]
    phase: str
    dtype: str
    mode: str
    backend: str
    devices: int = 1

    @property
    def node_name(self) -> str:
        """Stable name for a person and for pytest: ``matmul[square-512-fp32-eager-cpu]``."""
        parts = (self.configuration, self.dtype, self.mode, self.backend)
        return f"{self.workload}[{'-'.join(parts)}]"

    def key(self) -> CaseKey:
        """The same columns as a record holds them."""
        from ..results.record import CaseKey

        return CaseKey.model_validate(asdict(self) | {"params": dict(self.params)})

    @classmethod
    def of(cls, key: CaseKey) -> Case:
        """The case of a record's columns."""
        return cls(**key.model_dump())
