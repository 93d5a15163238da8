"""Scaled dot product attention: the kernel that PyTorch picks for the device.

Shapes: B batch, H query heads, G key and value heads, Q queries, K keys, D width of a head.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from .costs.attention import OPERATIONS
from .costs.sizes import integer, text
from .family import Params
from .inputs import Draw
from .program import Program


def attend(q_BHQD: Tensor, k_BGKD: Tensor, v_BGKD: Tensor) -> Tensor:
    shared = q_BHQD.shape[1] != k_BGKD.shape[1]
    return functional.scaled_dot_product_attention(q_BHQD, k_BGKD, v_BGKD, enable_gqa=shared)


def attend_causally(q_BHQD: Tensor, k_BGKD: Tensor, v_BGKD: Tensor) -> Tensor:
    shared = q_BHQD.shape[1] != k_BGKD.shape[1]
    return functional.scaled_dot_product_attention(
        q_BHQD, k_BGKD, v_BGKD, is_causal=True, enable_gqa=shared
    )


def decode(
    q_BHQD: Tensor, key_BG1D: Tensor, value_BG1D: Tensor, keys_BGKD: Tensor, values_BGKD: Tensor
) -> Tensor:
    """One step: the new key and value go to the cache's last place, then the query attends."""
    keys_BGKD[:, :, -1:].copy_(key_BG1D)
    values_BGKD[:, :, -1:].copy_(value_BG1D)
    return attend(q_BHQD, keys_BGKD, values_BGKD)


def make_program(params: Params, dtype: str, seed: int) -> Program:
    operation = text(params, "op", OPERATIONS)
    batch, heads, kv_heads, queries, keys, width = (
        integer(params, name) for name in ("batch", "heads", "kv_heads", "queries", "keys", "width")
    )
    if operation == "causal" and queries != keys:
        raise ValueError(f"causal attention needs queries equal to keys, not {queries} and {keys}")
    draw = Draw(dtype, seed)
    q_BHQD = draw.normal(batch, heads, queries, width)
    k_BGKD, v_BGKD = (draw.normal(batch, kv_heads, keys, width) for _ in range(2))
    if operation != "decode":
        return Program(
            attend_causally if operation == "causal" else attend, (q_BHQD, k_BGKD, v_BGKD)
        )
    key_BG1D, value_BG1D = (draw.normal(batch, kv_heads, 1, width) for _ in range(2))
    # What a step must overwrite: left in place, it would draw all attention to itself.
    k_BGKD[:, :, -1:] = 8.0 * q_BHQD[:, :: heads // kv_heads]
    v_BGKD[:, :, -1:] *= 8.0
    return Program(decode, (q_BHQD, key_BG1D, value_BG1D, k_BGKD, v_BGKD))
