"""Decoders with mixtures of experts: the families of Mixtral, Qwen3-MoE and gpt-oss.

The programs are those of ``decoder``. In each block a router gives every token X of E experts, and
no token is dropped. There are two ways to bring them together, with the same result:

- "dense": every expert works on every token, and counts for nothing where it wasn't chosen. Two
  plain products, which any stack has; E / X times the work that is needed.
- "grouped": tokens are sorted by expert, and each expert works on its own. No more work than is
  needed, and of the weights only those of chosen experts are read; for stacks with PyTorch's
  grouped products (2.10 and later, not in float64).

Which experts a token is given is settled by its embedding, see ``settle_routing``.

Shapes: B batch, T tokens of a call, N tokens of all sequences, A their assignments to experts
(N X), D width, E experts, X experts of a token, F hidden width of an expert, M its gates and what
they let through (2 F), C those of all experts, V vocabulary.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .costs.mixture_sizes import MixtureCall, MixtureSizes, dispatch_of
from .costs.transformer import AttentionSizes
from .decoder import Decoder, program_of
from .family import Params
from .inputs import Draw
from .program import Program
from .transformer import Attention, Cache, Linear, Places, RMSNorm

#: Of the gate of gpt-oss: its slope, and where it and what it lets through are cut off.
GATE_SLOPE = 1.702
GATE_LIMIT = 7.0


class Router(nn.Module):
    """Which experts each token is given, and how much each of them counts.

    Softmax over the X largest logits, as in gpt-oss. Mixtral and Qwen3-MoE take softmax over all
    experts, then the X largest, divided by their sum: the same numbers, as the first divisor
    cancels.
    """

    def __init__(self, sizes: MixtureSizes, draw: Draw) -> None:
        super().__init__()
        self.chosen = sizes.chosen
        self.projection = Linear(sizes.width, sizes.experts, draw, bias=sizes.gpt_oss)

    def forward(self, x_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of all experts, zero where they weren't chosen, and the numbers of the chosen.

        The weights are made by comparison, from logits that are masked: an index that was found
        by sorting is no index of a gather here, which not every stack can compile.
        """
        logits_NE = self.projection(x_ND)
        expert_NX = logits_NE.topk(self.chosen, dim=-1).indices
        every_E = torch.arange(logits_NE.shape[-1], device=logits_NE.device)
        chosen_NE = (expert_NX[..., None] == every_E).any(1)
        weights_NE = logits_NE.masked_fill(~chosen_NE, -torch.inf).softmax(-1)
        return weights_NE, expert_NX


class Experts(nn.Module):
    """y = sum over experts of w (gate(x G) * (x U)) W, with the router's weights w."""

    def __init__(self, sizes: MixtureSizes, dispatch: str, draw: Draw) -> None:
        super().__init__()
        experts, width, hidden = sizes.experts, sizes.width, sizes.hidden
        self.dispatch = dispatch
        self.up_EMD = nn.Parameter(draw.normal(experts, 2 * hidden, width, scale=width**-0.5))
        self.down_EFD = nn.Parameter(draw.normal(experts, hidden, width, scale=hidden**-0.5))
        self.up_bias_EM = self.down_bias_ED = None
        if sizes.gpt_oss:
            self.up_bias_EM = nn.Parameter(draw.normal(experts, 2 * hidden, scale=0.1))
            self.down_bias_ED = nn.Parameter(draw.normal(experts, width, scale=0.1))

    def forward(self, x_ND: Tensor, weights_NE: Tensor, expert_NX: Tensor) -> Tensor:
        # There are no grouped products in float64: a reference is made with dense ones.
        if self.dispatch == "dense" or x_ND.dtype == torch.float64:
            return self.dense(x_ND, weights_NE)
        return self.grouped(x_ND, weights_NE, expert_NX)

    def dense(self, x_ND: Tensor, weights_NE: Tensor) -> Tensor:
        bias_C = None if self.up_bias_EM is None else self.up_bias_EM.flatten()
        up_NC = functional.linear(x_ND, self.up_EMD.flatten(0, 1), bias_C)
        up_NEM = up_NC.view(len(x_ND), *self.up_EMD.shape[:2])
        hidden_NEF = self.gated(up_NEM) * weights_NE[..., None].to(up_NEM.dtype)
        hidden_NC, down_CD = hidden_NEF.flatten(1), self.down_EFD.flatten(0, 1)
        if self.down_bias_ED is None:
            return hidden_NC @ down_CD
        return torch.addmm(weights_NE @ self.down_bias_ED, hidden_NC, down_CD)

    def grouped(self, x_ND: Tensor, weights_NE: Tensor, expert_NX: Tensor) -> Tensor:
        if not hasattr(functional, "grouped_mm"):
            raise NotImplementedError(
                f"\"grouped_mm\" not implemented for 'torch {torch.__version__}': dispatch "
                "'grouped' wants 2.10 or later; dispatch 'dense' needs none"
            )
        experts, chosen = weights_NE.shape[-1], expert_NX.shape[-1]
        expert_A, assignment_A = expert_NX.flatten().sort(stable=True)
        every_E = torch.arange(experts, device=x_ND.device)
        ends_E = torch.searchsorted(expert_A, every_E, right=True, out_int32=True)
        x_AD = x_ND.index_select(0, assignment_A // chosen)
        up_AM = functional.grouped_mm(x_AD, self.up_EMD.mT, offs=ends_E)
        if self.up_bias_EM is not None:
            up_AM = up_AM + self.up_bias_EM.index_select(0, expert_A)
        weights_A = weights_NE.gather(1, expert_NX).flatten().index_select(0, assignment_A)
        hidden_AF = self.gated(up_AM) * weights_A[:, None]
        y_AD = functional.grouped_mm(hidden_AF, self.down_EFD, offs=ends_E)
        y_AD = y_AD.index_select(0, assignment_A.argsort())
        y_ND = y_AD.view(*expert_NX.shape, -1).sum(1)
        return y_ND if self.down_bias_ED is None else y_ND + weights_NE @ self.down_bias_ED

    def gated(self, up_NM: Tensor) -> Tensor:
        gate_NF, up_NF = up_NM.chunk(2, dim=-1)
        if self.up_bias_EM is None:
            return functional.silu(gate_NF) * up_NF
        gate_NF = gate_NF.clamp(max=GATE_LIMIT)
        up_NF = up_NF.clamp(-GATE_LIMIT, GATE_LIMIT)
        return gate_NF * torch.sigmoid(GATE_SLOPE * gate_NF) * (up_NF + 1)


class MixtureBlock(nn.Module):
    def __init__(
        self, sizes: MixtureSizes, attention: AttentionSizes, dispatch: str, draw: Draw
    ) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(sizes.width, sizes.epsilon, draw)
        self.attention = Attention(sizes.width, attention, draw)
        self.mlp_norm = RMSNorm(sizes.width, sizes.epsilon, draw)
        self.router = Router(sizes, draw)
        self.experts = Experts(sizes, dispatch, draw)

    def forward(self, x_BTD: Tensor, places: Places, cache: Cache | None = None) -> Tensor:
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), places, cache)
        x_ND = self.mlp_norm(x_BTD).flatten(0, 1)
        y_ND = self.experts(x_ND, *self.router(x_ND))
        return x_BTD + cast("Tensor", y_ND).view_as(x_BTD)


#: How far the embedding of a token points to each of its experts.
SETTLED = 10.0


@torch.no_grad()
def settle_routing(decoder: Decoder, sizes: MixtureSizes, draw: Draw) -> None:
    """Give each token X experts at random, by its embedding.

    With weights that are random throughout, some tokens lie so close between two experts that
    rounding decides, and devices, dtypes and their reference would do different work. So there is
    a direction for each expert, orthogonal to the others; an embedding points along those of its
    token's experts, and a router looks along them, in an order of its own in each block. Loads are
    close to even.
    """
    wide = Draw("fp32", 0)
    wide.generator = draw.generator
    across_DE, _ = torch.linalg.qr(wide.normal(sizes.width, sizes.experts).double())
    along_ED = across_DE.mT.float()
    liking_VE = wide.normal(sizes.vocabulary, sizes.experts)
    given_VX = liking_VE.topk(sizes.chosen, dim=-1).indices
    given_VE = torch.zeros_like(liking_VE).scatter_(1, given_VX, SETTLED)
    embedding_VD = decoder.embedding_VD
    embedding_VD.copy_(torch.addmm(embedding_VD.float(), given_VE, along_ED))
    for block in decoder.blocks:
        order_E = wide.indices(sizes.experts, sizes.experts)
        cast("MixtureBlock", block).router.projection.weight_NC.copy_(along_ED[order_E])


def make_program(params: Params, dtype: str, seed: int) -> Program:
    call, dispatch = MixtureCall.of(params), dispatch_of(params)

    def make_decoder(
        sizes: MixtureSizes, layers: int, places: int, draw: Draw, *, recompute: bool = False
    ) -> Decoder:
        def make_block(layer: int) -> nn.Module:
            return MixtureBlock(sizes, sizes.attention_of(layer), dispatch, draw)

        decoder = Decoder(sizes, layers, places, draw, recompute=recompute, make_block=make_block)
        settle_routing(decoder, sizes, draw)
        return decoder

    return program_of(call, params, dtype, seed, make_decoder)
