"""Mixtures of experts against transformers' models with the same weights, and memory against its
model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trnbench.models.costs.mixture import FAMILY
from trnbench.models.costs.mixture_sizes import DISPATCHES, MODELS, MixtureSizes
from trnbench.models.decoder import Decode, Decoder, Prefill
from trnbench.models.family import Configuration
from trnbench.models.mixture import make_program
from trnbench.models.program import Program

TINY_MODELS = ("mixtral-tiny", "qwen3-moe-tiny", "gpt-oss-tiny")

#: What makes of a parameter of ours those of theirs.
Split = Callable[[Tensor], list[Tensor]]


def params_of(model: str, phase: str, dispatch: str = "dense", **changed: float) -> dict:
    tokens = {"prefill": 128, "decode": 64, "training": 64}[phase]
    length = "context" if phase == "decode" else "sequence"
    shape = {"layers": 2, "batch": 2, length: tokens}
    return {"model": model, "dispatch": dispatch, "phase": phase, **shape, **changed}


def decoder_of(program: Program) -> Decoder:
    return next(part for part in program.function.modules() if isinstance(part, Decoder))


def make_theirs(model: str) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    sizes = MODELS[model]
    shared = {
        "vocab_size": sizes.vocabulary,
        "hidden_size": sizes.width,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.attention.heads,
        "num_key_value_heads": sizes.attention.kv_heads,
        "head_dim": sizes.attention.head_width,
        "rms_norm_eps": sizes.epsilon,
        "max_position_embeddings": sizes.positions,
        "num_experts_per_tok": sizes.chosen,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    turns = {"rope_type": "default", "rope_theta": sizes.rotary_base}
    if model == "mixtral-tiny":
        config = transformers.MixtralConfig(
            **shared,
            intermediate_size=sizes.hidden,
            num_local_experts=sizes.experts,
            rope_parameters=turns,
        )
        return transformers.MixtralForCausalLM(config)
    if model == "qwen3-moe-tiny":
        config = transformers.Qwen3MoeConfig(
            **shared,
            moe_intermediate_size=sizes.hidden,
            num_experts=sizes.experts,
            norm_topk_prob=True,
            rope_parameters=turns,
        )
        return transformers.Qwen3MoeForCausalLM(config)
    assert sizes.rotary_scaling is not None
    config = transformers.GptOssConfig(
        **shared,
        intermediate_size=sizes.hidden,
        num_local_experts=sizes.experts,
        sliding_window=sizes.window,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": sizes.rotary_base,
            "factor": sizes.rotary_scaling.factor,
            "beta_fast": sizes.rotary_scaling.high,
            "beta_slow": sizes.rotary_scaling.low,
            "original_max_position_embeddings": sizes.rotary_scaling.original_places,
            "truncate": False,
        },
    )
    return transformers.GptOssForCausalLM(config)


def alike(value: Tensor) -> list[Tensor]:
    return [value]


def swapped(value: Tensor) -> list[Tensor]:
    return [value.mT]


def interleaved(value: Tensor) -> list[Tensor]:
    """Gate and up of gpt-oss take turns, and weights are kept the other way round."""
    mixed = torch.stack(value.chunk(2, 1), 2).flatten(1, 2)
    return [mixed.mT if mixed.dim() > 2 else mixed]


def pairs(
    sizes: MixtureSizes, ours: Decoder, theirs: nn.Module
) -> list[tuple[nn.Parameter, Split, list[nn.Parameter]]]:
    """Each parameter of ours, how to make theirs of it, and theirs."""
    heads = sizes.attention

    def projected(value: Tensor) -> list[Tensor]:
        rows = [count * heads.head_width for count in (heads.heads, *[heads.kv_heads] * 2)]
        return list(value.split(rows))

    found = [
        (ours.embedding_VD, alike, [theirs.model.embed_tokens.weight]),
        (ours.norm.weight_D, alike, [theirs.model.norm.weight]),
        (ours.head_VD, alike, [theirs.lm_head.weight]),
    ]
    for block, layer in zip(ours.blocks, theirs.model.layers, strict=True):
        attention, inner, experts = block.attention, layer.self_attn, layer.mlp.experts
        qkv = [inner.q_proj, inner.k_proj, inner.v_proj]
        router = layer.mlp.router if sizes.gpt_oss else layer.mlp.gate
        found += [
            (block.attention_norm.weight_D, alike, [layer.input_layernorm.weight]),
            (block.mlp_norm.weight_D, alike, [layer.post_attention_layernorm.weight]),
            (attention.projection.weight_NC, projected, [part.weight for part in qkv]),
            (attention.output.weight_NC, alike, [inner.o_proj.weight]),
            (block.router.projection.weight_NC, alike, [router.weight]),
            (
                block.experts.up_EMD,
                interleaved if sizes.gpt_oss else alike,
                [experts.gate_up_proj],
            ),
            (block.experts.down_EFD, alike if sizes.gpt_oss else swapped, [experts.down_proj]),
        ]
        if sizes.gpt_oss:
            found += [
                (attention.projection.bias_N, projected, [part.bias for part in qkv]),
                (attention.output.bias_N, alike, [inner.o_proj.bias]),
                (attention.sinks_H, alike, [inner.sinks]),
                (block.router.projection.bias_N, alike, [router.bias]),
                (block.experts.up_bias_EM, interleaved, [experts.gate_up_proj_bias]),
                (block.experts.down_bias_ED, alike, [experts.down_proj_bias]),
            ]
        if heads.head_norm_epsilon is not None:
            found += [
                (attention.query_norm.weight_D, alike, [inner.q_norm.weight]),
                (attention.key_norm.weight_D, alike, [inner.k_norm.weight]),
            ]
    return found


def with_our_weights(model: str, ours: Decoder) -> nn.Module:
    theirs = make_theirs(model)
    found = pairs(MODELS[model], ours, theirs)
    assert len({id(parameter) for parameter, _, _ in found}) == len(list(ours.parameters()))
    assert sum(len(parts) for _, _, parts in found) == len(list(theirs.parameters()))
    with torch.no_grad():
        for parameter, split, parts in found:
            for part, values in zip(parts, split(parameter), strict=True):
                part.copy_(values)
    return theirs


def error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


each_model = pytest.mark.parametrize("model", TINY_MODELS)
each_dispatch = pytest.mark.parametrize("dispatch", DISPATCHES)


@each_model
@each_dispatch
def test_logits_are_those_of_transformers(model: str, dispatch: str):
    program = make_program(params_of(model, "prefill", dispatch), "fp32", 7)
    ours = decoder_of(program)
    theirs = with_our_weights(model, ours).eval()
    tokens_BT = program.inputs[0]

    with torch.no_grad():
        wanted_BTV = theirs(tokens_BT).logits
        logits_BTV = ours.logits(ours(tokens_BT))
        last_BV = program()

    assert logits_BTV.shape == wanted_BTV.shape == (2, 128, 1024)
    assert error(logits_BTV, wanted_BTV) < 1e-5
    assert error(last_BV, wanted_BTV[:, -1]) < 1e-5


@each_model
@each_dispatch
def test_loss_and_gradients_are_those_of_transformers(model: str, dispatch: str):
    program = make_program(params_of(model, "training", dispatch), "fp32", 7)
    ours = decoder_of(program)
    theirs = with_our_weights(model, ours)
    wanted = their_loss(theirs, program)
    wanted.backward()

    loss = program()

    assert abs(loss - wanted) < 1e-5 * abs(wanted)
    for parameter, split, parts in pairs(MODELS[model], ours, theirs):
        for gradient, part in zip(split(parameter.grad), parts, strict=True):
            assert error(gradient, part.grad) < 1e-4


def their_loss(theirs: nn.Module, program: Program) -> Tensor:
    tokens_BT, next_BT = program.inputs
    logits_BTV = theirs(tokens_BT, use_cache=False).logits
    return nn.functional.cross_entropy(logits_BTV.flatten(0, 1), next_BT.flatten())


@each_model
@each_dispatch
def test_ten_steps_give_the_losses_of_transformers(model: str, dispatch: str):
    program = make_program(params_of(model, "training", dispatch), "fp32", 7)
    theirs = with_our_weights(model, decoder_of(program))
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3)
    wanted = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = their_loss(theirs, program)
        loss.backward()
        optimizer.step()
        wanted.append(loss.item())

    losses = [program().item() for _ in range(10)]

    assert losses == pytest.approx(wanted, rel=1e-4)
    assert losses[-1] < 0.8 * losses[0]
    assert program.moved_parameters() is True


#: The window of gpt-oss-tiny, 32, is shorter than the prompt, and comes round in the answer.
PROMPT, ANSWER = 44, 32


def text_of(tokens: int) -> Tensor:
    return torch.randint(1024, (2, tokens), generator=torch.Generator().manual_seed(1))


@each_model
@each_dispatch
def test_a_text_read_with_a_cache_gives_the_logits_of_transformers(model: str, dispatch: str):
    places = PROMPT + ANSWER
    program = make_program(params_of(model, "decode", dispatch, context=places), "fp32", 7)
    ours = decoder_of(program)
    theirs = with_our_weights(model, ours).eval()
    tokens_BT, caches_BGSK = text_of(places), program.inputs[2:]

    with torch.no_grad():
        wanted_BTV = theirs(tokens_BT).logits
        logits_BV = [Prefill(ours, PROMPT)(tokens_BT[:, :PROMPT], *caches_BGSK)]
        step = Decode(ours, places)
        for place in range(PROMPT, places):
            next_B1 = tokens_BT[:, place : place + 1]
            logits_BV.append(step(next_B1, torch.tensor([place]), *caches_BGSK))

    assert len(logits_BV) == ANSWER + 1
    assert error(torch.stack(logits_BV, 1), wanted_BTV[:, PROMPT - 1 :]) < 1e-5


@each_model
@each_dispatch
def test_greedy_decoding_says_what_transformers_says(model: str, dispatch: str):
    places = PROMPT + ANSWER
    program = make_program(params_of(model, "decode", dispatch, context=places), "fp32", 7)
    ours = decoder_of(program)
    theirs = with_our_weights(model, ours).eval()
    tokens_BT, caches_BGSK = text_of(PROMPT), program.inputs[2:]

    with torch.no_grad():
        said_B = [Prefill(ours, PROMPT)(tokens_BT, *caches_BGSK).argmax(-1)]
        step = Decode(ours, places)
        for place in range(PROMPT, places - 1):
            logits_BV = step(said_B[-1][:, None], torch.tensor([place]), *caches_BGSK)
            said_B.append(logits_BV.argmax(-1))
        uncached_BT = tokens_BT
        for _ in range(ANSWER):
            next_B = ours.logits(ours(uncached_BT)[:, -1]).argmax(-1)
            uncached_BT = torch.cat((uncached_BT, next_B[:, None]), -1)
        how = {"max_new_tokens": ANSWER, "do_sample": False, "pad_token_id": 0}
        seen = {"attention_mask": torch.ones_like(tokens_BT)}
        wanted_BT = theirs.generate(tokens_BT, **seen, **how, cache_implementation="static")
        wanted_uncached_BT = theirs.generate(tokens_BT, **seen, **how, use_cache=False)

    answer_BT = torch.stack(said_B, -1)
    assert answer_BT.shape == (2, ANSWER)
    assert torch.equal(answer_BT, wanted_BT[:, PROMPT:])
    assert torch.equal(answer_BT, wanted_uncached_BT[:, PROMPT:])
    assert torch.equal(answer_BT, uncached_BT[:, PROMPT:])


TINY = [
    (configuration, dtype)
    for configuration in FAMILY.configurations
    if configuration.params["model"] in TINY_MODELS
    for dtype in configuration.dtypes
]


def test_the_sweep_below_is_not_empty():
    assert {configuration.phase for configuration, _ in TINY} == {"prefill", "decode", "training"}
    assert {configuration.params["model"] for configuration, _ in TINY} == {*TINY_MODELS}
    assert {dtype for _, dtype in TINY} == {"fp32", "bf16"}


@pytest.mark.parametrize(
    ("configuration", "dtype"),
    TINY,
    ids=[f"{configuration.name}-{dtype}" for configuration, dtype in TINY],
)
@each_dispatch
def test_the_memory_model_holds(
    configuration: Configuration, dtype: str, dispatch: str, peak_bytes
):
    params = {**configuration.params, "dispatch": dispatch}
    if dispatch == "grouped" and params.get("precision") == "autocast":
        pytest.skip("there is no autocast for grouped products")
    modelled = FAMILY.footprint(params, dtype)

    measured = peak_bytes(make_program(params, dtype, 7))

    assert measured == pytest.approx(modelled.peak, rel=0.1)
