"""Strategies of hypothesis: contents of files that a target may be given."""

from __future__ import annotations

import random
import types
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from fuzz_mutation import ODD, mutate
from fuzz_seeds import OF_RECORDS, seeds
from hypothesis import strategies as st
from pydantic import BaseModel

from trnbench.results.record import Estimate, Record, TimeEstimate

_TEXTS = st.one_of(
    st.sampled_from([odd for odd in ODD if isinstance(odd, str) and odd.isprintable()]),
    st.text(max_size=20),
)
_COUNTS = st.one_of(
    st.integers(0, 4), st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**53, 10**9, 10**18])
)
_FIGURES = st.one_of(
    st.floats(1e-9, 10.0),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1e300, 5e-324, -1.0]),
)
_ABOVE_ZERO = st.one_of(
    st.floats(1e-9, 10.0),
    st.floats(0, exclude_min=True, allow_infinity=False),
    st.sampled_from([1e300, 5e-324]),
)
_SINGLE: dict[Any, Any] = {
    str: _TEXTS,
    int: _COUNTS,
    float: _FIGURES,
    bool: st.booleans(),
    type(None): st.none(),
}


def inputs(target: str, *, measured: bool = False) -> st.SearchStrategy[bytes]:
    """Near-valid, arbitrary, and for targets that read records whole ones too."""
    known = seeds(target, measured=measured)
    near = st.builds(_changed, st.sampled_from(known), st.lists(st.integers(0, 2**32), max_size=6))
    found = [near, near, near, st.binary(max_size=200)]
    if target in OF_RECORDS:
        found += [whole_files(), whole_files()]
    return st.one_of(found)


def _changed(content: bytes, changes: list[int]) -> bytes:
    for change in changes:
        content = mutate(content, random.Random(change))
    return content


def whole_files() -> st.SearchStrategy[bytes]:
    """Records that the schema takes, one to three in a file; of one run and of several."""
    records = st.lists(instances(Record), min_size=1, max_size=3)
    return records.map(lambda found: b"".join(r.model_dump_json().encode() + b"\n" for r in found))


def instances(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Everything that a model's types allow, fields left out included."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in model.model_fields.items():
        counted = name in ("calls", "devices") and field.metadata
        own = st.integers(1, 4) if counted else _values(field.annotation)
        if name == "time":
            own = st.one_of(*[st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")] * 3, own)
        (fields if field.is_required() else optional)[name] = own
    return st.fixed_dictionaries(fields, optional=optional).map(_build(model))


def _build(model: type[BaseModel]) -> Callable[[dict[str, Any]], Any]:
    def build(values: dict[str, Any]) -> Any:
        return model(**values)

    return build


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(annotation)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(_values, arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(_values(arguments[0]), max_size=3)
    if origin is tuple:
        return st.tuples(*map(_values, arguments))
    if origin is dict:
        return st.dictionaries(_values(arguments[0]), _values(arguments[1]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return st.deferred(lambda: instances(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(list(annotation))
    return _SINGLE[annotation]


def _annotated(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation is TimeEstimate:
        return st.builds(
            Estimate, value=_ABOVE_ZERO, low=st.none() | _ABOVE_ZERO, high=st.none() | _FIGURES
        )
    return _values(get_args(annotation)[0])
