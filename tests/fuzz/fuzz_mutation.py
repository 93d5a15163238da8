"""Files that are nearly right: one value, key, cell or piece of a good one is another."""

from __future__ import annotations

import io
import json
import random
import re
from typing import Any

#: What a parser, a table, a page or a sum may not have thought of. Numbers at the ends of 64 bits
#: and of a double, and beyond; what a terminal, a spreadsheet, HTML, XML or a path obeys; halves of
#: surrogate pairs, marks of order and direction; times at the ends of what a library holds.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 0.0, -0.0, 0.5, 1.5, -1e-9),
    *(1e-9, 1e-30, 5e-324, 2.3e-308, 1e9, 1e15, 1e18, 1e19, 1e30, 1e154, 1e300, 1.79e308),
    *(float("nan"), float("inf"), float("-inf")),
    *(2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**29, 10**400),
    *("", " ", "x", "\n", "\t", "\0", "\x1b[2J", "\r", "\u202e", "\u2028", "\ufeff", "\ufffe"),
    *("\ud800", "\U0001f600", "e\u0301", "=1+1", "@x", "../../x", "/etc/passwd", "C:\\x", "a|b"),
    *("<script>alert(1)</script>", "]]>", "&amp;", "{{ 7*7 }}", "[bold]", "%s", "nan", "NaN"),
    *("-inf", "1e999", "None", "null", "x" * 300, "x" * 5000, " . ", "param.x", "a,b", '"'),
    *("0001-01-01", "9999-12-31T23:59:59Z", "2026-02-30", "2026-11-22", "1e5", "2262-04-12"),
    *("0000-00-00T00:00:00Z", "-2026-01-01T00:00:00Z", "24:00", "2026-11-22T02:17:33+99:99", "NaT"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-W48-1", "2026-11"),
    *("OK", "SKIPPED", "TIMEOUT", "simulated", "published", "measured", "cold", "warm", "memory"),
    *("device", "attained", "datasheet", "derived", "engine", "tensor", "DRAM", "fabric", "B/s"),
    *("FLOP/s", "tokens/s", "trainium2", "h100_sxm", "eager", "compiled", "bf16", "training"),
    *([], [[]], {}, {"": {}}, [None], [0, 0], ["x"], {"x": 1}, [1e300] * 3, [-1, 2**63]),
)
_DEEPEST = 40
_TOKEN = re.compile(rb'[^\s,|:;"{}\[\]]+')


def mutate(content: bytes, rng: random.Random) -> bytes:
    """One change, of a JSON value where there is one."""
    kind = rng.random()
    if kind < 0.75:
        is_parquet = content.startswith(b"PAR1")
        changed = _change_parquet(content, rng) if is_parquet else _change_json(content, rng)
        if changed is not None:
            return changed
    return _change_token(content, rng) if kind < 0.92 else _change_bytes(content, rng)


def _change_json(content: bytes, rng: random.Random) -> bytes | None:
    """The whole text, or one of its lines, with one change; None where neither is JSON."""
    lines = content.split(b"\n")
    whole = lines[0].strip() in (b"[", b"{") or len([line for line in lines if line.strip()]) == 1
    if whole:
        lines, at = [content], 0
    else:
        at = rng.randrange(len(lines))
    try:
        value = json.loads(lines[at])
    except (ValueError, RecursionError):
        return None
    try:
        value = _change_value(value, rng)
        text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    except (RecursionError, ValueError):
        return None
    lines[at] = text.encode("utf-8", "surrogatepass")
    if not whole and rng.random() < 0.05:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    return b"\n".join(lines)


def _change_value(value: Any, rng: random.Random) -> Any:
    """``value`` with a change somewhere inside it; containers are changed where they are."""
    places: list[tuple[Any, Any]] = []
    _list_places(value, places, 0)
    if not places:
        return rng.choice(ODD)
    holder, key = rng.choice(places)
    kind = rng.random()
    if kind < 0.45:
        holder[key] = rng.choice(ODD)
    elif kind < 0.6:
        holder[key] = _nudge(holder[key], rng)
    elif kind < 0.7:
        del holder[key]
    elif kind < 0.8:
        other, place = rng.choice(places)
        # A copy: a holder within itself has no end.
        holder[key] = json.loads(json.dumps(other[place]))
    elif kind < 0.9 and isinstance(holder, dict):
        holder[str(rng.choice(ODD))] = holder.pop(key)
    elif isinstance(holder, list):
        holder += holder[: rng.randrange(1, 4)]
    else:
        nested: Any = holder[key]
        for _ in range(rng.choice((1, 3, 150, 250))):
            nested = [nested]
        holder[key] = nested
    return value


def _nudge(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value * rng.choice((-1, 0, 2, 1000, 10**9, 10**18)) + rng.choice((-1, 0, 1))
    if isinstance(value, float):
        return value * rng.choice((-1.0, 0.0, 1e-9, 0.5, 2.0, 1e9, 1e150, 1e300))
    if isinstance(value, str):
        at = rng.randrange(len(value) + 1)
        return value[:at] + str(rng.choice(ODD)) + value[at + rng.randrange(3) :]
    return type(value)()


def _list_places(value: Any, places: list[tuple[Any, Any]], depth: int) -> None:
    if depth > _DEEPEST or not isinstance(value, dict | list):
        return
    for key in value if isinstance(value, dict) else range(len(value)):
        places.append((value, key))
        _list_places(value[key], places, depth + 1)


def _change_token(content: bytes, rng: random.Random) -> bytes:
    """Of a table or of broken JSON: a word is another."""
    tokens = list(_TOKEN.finditer(content))
    if not tokens:
        return _change_bytes(content, rng)
    token = rng.choice(tokens)
    odd = str(rng.choice(ODD)).encode("utf-8", "surrogatepass")
    return content[: token.start()] + odd + content[token.end() :]


def _change_bytes(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.choice((0, 1, 4, 60)))
    kind = rng.randrange(6)
    if kind == 0:
        return content[:start]
    if kind == 1:
        return content[:start] + rng.randbytes(rng.randrange(1, 9)) + content[end:]
    if kind == 2:
        return content[:start] + content[end:]
    if kind == 3:
        return content[:start] + content[start:end] * 3 + content[end:]
    if kind == 4:
        mark = rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\x1f\x8b", b"PAR1", b"\n"))
        return mark + content
    return content[:start] + b"\0" * rng.randrange(1, 5) + content[end:]


def _change_parquet(content: bytes, rng: random.Random) -> bytes | None:
    """A column of a Parquet file is missing, or has other values or another type; None where it
    can't be read. Changed bytes alone hardly pass its checksums."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
        at = rng.randrange(table.num_columns)
        odd = [rng.choice(ODD) for _ in range(table.num_rows)]
        column = pa.array(odd if rng.random() < 0.2 else odd[:1] * len(odd))
        name = table.schema.names[at]
        kind = rng.random()
        if kind < 0.7:
            table = table.set_column(at, name, column)
        elif kind < 0.8:
            table = table.append_column(rng.choice((name, "param.x", "version.y", "z")), column)
        elif kind < 0.9:
            table = table.slice(0, rng.randrange(table.num_rows + 1))
        else:
            table = table.drop_columns([name])
        # What pandas wrote beside the columns says their types, and is believed.
        table = table.replace_schema_metadata() if rng.random() < 0.5 else table
        made = io.BytesIO()
        pq.write_table(table, made)
    except (pa.ArrowException, OverflowError, ValueError, TypeError, KeyError, OSError):
        return None
    return made.getvalue()
