"""Llama, Qwen3 and GPT-2 against transformers' models with the same weights, and memory against
its model."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from trnbench.models.costs.decoder import FAMILY, MODELS
from trnbench.models.decoder import Decode, Decoder, Prefill, make_program
from trnbench.models.family import Configuration
from trnbench.models.inputs import Draw
from trnbench.models.program import Program

TINY_MODELS = ("llama-tiny", "qwen3-tiny", "gpt2-tiny")
each_model = pytest.mark.parametrize("model", TINY_MODELS)


def params_of(model: str, phase: str, batch: int, tokens: int) -> dict:
    length = "context" if phase == "decode" else "sequence"
    layers = MODELS[model].layers
    return {"model": model, "phase": phase, "layers": layers, "batch": batch, length: tokens}


def decoder_of(program: Program) -> Decoder:
    return next(part for part in program.function.modules() if isinstance(part, Decoder))


class Pair(NamedTuple):
    """A parameter of ours, and those of theirs that make it up along its first dimension."""

    ours: nn.Parameter
    theirs: list[nn.Parameter]
    transposed: bool = False

    def joined(self, values: list[Tensor]) -> Tensor:
        return torch.cat([value.T if self.transposed else value for value in values])


def make_theirs(params: dict) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    sizes = MODELS[params["model"]]
    heads = sizes.attention
    if sizes.rotary_base is None:
        config = transformers.GPT2Config(
            vocab_size=sizes.vocabulary,
            n_positions=sizes.positions,
            n_embd=sizes.width,
            n_layer=params["layers"],
            n_head=heads.heads,
            layer_norm_epsilon=sizes.epsilon,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=None,
            eos_token_id=None,
        )
        return transformers.GPT2LMHeadModel(config)
    rope = {"rope_type": "default", "rope_theta": sizes.rotary_base}
    if sizes.rotary_scaling is not None:
        scaling = sizes.rotary_scaling
        rope |= {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low,
            "high_freq_factor": scaling.high,
            "original_max_position_embeddings": scaling.original_places,
        }
    qwen3 = heads.head_norm_epsilon is not None
    make_config = transformers.Qwen3Config if qwen3 else transformers.LlamaConfig
    make_model = transformers.Qwen3ForCausalLM if qwen3 else transformers.LlamaForCausalLM
    return make_model(
        make_config(
            vocab_size=sizes.vocabulary,
            hidden_size=sizes.width,
            intermediate_size=sizes.hidden,
            num_hidden_layers=params["layers"],
            num_attention_heads=heads.heads,
            num_key_value_heads=heads.kv_heads,
            head_dim=heads.head_width,
            max_position_embeddings=sizes.positions,
            rms_norm_eps=sizes.epsilon,
            rope_parameters=rope,
            tie_word_embeddings=sizes.tied,
            bos_token_id=None,
            eos_token_id=None,
        )
    )


def pairs(ours: Decoder, theirs: nn.Module) -> list[Pair]:
    return gpt2_pairs(ours, theirs) if ours.rotary is None else llama_pairs(ours, theirs)


def gpt2_pairs(ours: Decoder, theirs: nn.Module) -> list[Pair]:
    base = theirs.transformer
    found = [
        Pair(ours.embedding_VD, [base.wte.weight]),
        Pair(ours.positions_SD, [base.wpe.weight]),
    ]
    norms = [(ours.norm, base.ln_f)]
    for block, layer in zip(ours.blocks, base.h, strict=True):
        norms += [(block.attention_norm, layer.ln_1), (block.mlp_norm, layer.ln_2)]
        for linear, part in (
            (block.attention.projection, layer.attn.c_attn),
            (block.attention.output, layer.attn.c_proj),
            (block.mlp.up, layer.mlp.c_fc),
            (block.mlp.down, layer.mlp.c_proj),
        ):
            found += [
                Pair(linear.weight_NC, [part.weight], transposed=True),
                Pair(linear.bias_N, [part.bias]),
            ]
    for norm, part in norms:
        found += [Pair(norm.weight_D, [part.weight]), Pair(norm.bias_D, [part.bias])]
    return found


def llama_pairs(ours: Decoder, theirs: nn.Module) -> list[Pair]:
    found = [
        Pair(ours.embedding_VD, [theirs.model.embed_tokens.weight]),
        Pair(ours.norm.weight_D, [theirs.model.norm.weight]),
    ]
    if ours.head_VD is not None:
        found.append(Pair(ours.head_VD, [theirs.lm_head.weight]))
    for block, layer in zip(ours.blocks, theirs.model.layers, strict=True):
        mixed, mlp = layer.self_attn, layer.mlp
        projections = mixed.q_proj.weight, mixed.k_proj.weight, mixed.v_proj.weight
        found += [
            Pair(block.attention_norm.weight_D, [layer.input_layernorm.weight]),
            Pair(block.attention.projection.weight_NC, list(projections)),
            Pair(block.attention.output.weight_NC, [mixed.o_proj.weight]),
            Pair(block.mlp_norm.weight_D, [layer.post_attention_layernorm.weight]),
            Pair(block.mlp.gate_FD, [mlp.gate_proj.weight]),
            Pair(block.mlp.up_FD, [mlp.up_proj.weight]),
            Pair(block.mlp.down_DF, [mlp.down_proj.weight]),
        ]
        if block.attention.query_norm is not None:
            found += [
                Pair(block.attention.query_norm.weight_D, [mixed.q_norm.weight]),
                Pair(block.attention.key_norm.weight_D, [mixed.k_norm.weight]),
            ]
    return found


def with_our_weights(params: dict, ours: Decoder) -> nn.Module:
    theirs = make_theirs(params)
    found = pairs(ours, theirs)
    assert len({id(pair.ours) for pair in found}) == len(list(ours.parameters()))
    assert sum(len(pair.theirs) for pair in found) == len(list(theirs.parameters()))
    with torch.no_grad():
        for pair in found:
            lengths = [part.shape[1 if pair.transposed else 0] for part in pair.theirs]
            for part, values in zip(pair.theirs, pair.ours.split(lengths), strict=True):
                part.copy_(values.T if pair.transposed else values)
    return theirs


def text_of(program: Program) -> Tensor:
    """The tokens of a training program with the one that follows: transformers shifts them."""
    tokens_BT, next_BT = program.inputs
    return torch.cat((tokens_BT[:, :1], next_BT), 1)


def error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@each_model
def test_logits_are_those_of_transformers(model: str):
    params = params_of(model, "training", 2, 128)
    program = make_program(params, "fp32", 7)
    ours, tokens_BT = decoder_of(program), program.inputs[0]
    theirs = with_our_weights(params, ours).eval()

    with torch.no_grad():
        wanted = theirs(tokens_BT).logits
        logits = ours.logits(ours(tokens_BT))

    assert logits.shape == wanted.shape == (2, 128, 1024)
    assert error(logits, wanted) < 1e-5


@each_model
@pytest.mark.parametrize("prompt", [128, 100])
def test_prefill_gives_the_logits_and_caches_of_transformers(model: str, prompt: int):
    params = params_of(model, "prefill", 2, 128)
    program = make_program({**params, "prompt": prompt}, "fp32", 7)
    tokens_BT, *caches = program.inputs
    theirs = with_our_weights(params, decoder_of(program)).eval()

    with torch.no_grad():
        wanted = theirs(tokens_BT[:, :prompt], use_cache=True)
    logits = program()

    assert error(logits, wanted.logits[:, -1]) < 1e-5
    layers = wanted.past_key_values.layers
    for cache, layer in zip(zip(caches[::2], caches[1::2], strict=True), layers, strict=True):
        for ours, known in zip(cache, (layer.keys, layer.values), strict=True):
            assert error(ours[:, :, :prompt], known) < 1e-5


@each_model
def test_loss_and_gradients_are_those_of_transformers(model: str):
    params = params_of(model, "training", 2, 64)
    program = make_program(params, "fp32", 7)
    ours, text_BT = decoder_of(program), text_of(program)
    theirs = with_our_weights(params, ours)
    wanted = theirs(text_BT, labels=text_BT).loss
    wanted.backward()

    loss = program()

    assert abs(loss - wanted) < 1e-5 * abs(wanted)
    for pair in pairs(ours, theirs):
        assert error(pair.ours.grad, pair.joined([part.grad for part in pair.theirs])) < 1e-4


@each_model
def test_ten_steps_give_the_losses_of_transformers(model: str):
    params = params_of(model, "training", 2, 64)
    program = make_program(params, "fp32", 7)
    text_BT = text_of(program)
    theirs = with_our_weights(params, decoder_of(program))
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3)
    wanted = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = theirs(text_BT, labels=text_BT).loss
        loss.backward()
        optimizer.step()
        wanted.append(loss.item())

    losses = [program().item() for _ in range(10)]

    assert losses == pytest.approx(wanted, rel=1e-4)
    assert losses[-1] < 0.8 * losses[0]
    assert program.moved_parameters() is True


@each_model
@torch.no_grad()
def test_greedy_decoding_gives_the_tokens_of_transformers(model: str):
    """With a static cache, one token a step; without one, the whole text at every step."""
    batch, prompt, new = 2, 16, 32
    sizes, places = MODELS[model], prompt + new
    draw = Draw("fp32", 7)
    ours = Decoder(sizes, sizes.layers, places, draw).eval()
    theirs = with_our_weights(params_of(model, "training", batch, places), ours).eval()
    tokens_BT = draw.integers(batch, prompt, limit=sizes.vocabulary)
    heads = sizes.attention
    shape = batch, heads.kv_heads, places, heads.head_width
    caches = [draw.unset(*shape) for _ in range(2 * sizes.layers)]
    prefill, decode = Prefill(ours, prompt), Decode(ours, places)

    wanted = theirs.generate(
        tokens_BT,
        attention_mask=torch.ones_like(tokens_BT),
        min_new_tokens=new,
        max_new_tokens=new,
        do_sample=False,
        pad_token_id=0,
    )
    cached_BT, whole_BT = tokens_BT, tokens_BT
    logits_BV = prefill(tokens_BT, *caches)
    for place in range(prompt, places):
        cached_BT = torch.cat((cached_BT, logits_BV.argmax(-1, keepdim=True)), 1)
        logits_BV = decode(cached_BT[:, -1:], torch.tensor([place]), *caches)
        last_BV = ours.logits(ours(whole_BT)[:, -1])
        whole_BT = torch.cat((whole_BT, last_BV.argmax(-1, keepdim=True)), 1)

    assert wanted.shape == (batch, places)
    assert len(wanted[:, prompt:].unique()) > new // 2
    assert torch.equal(cached_BT, wanted)
    assert torch.equal(whole_BT, wanted)


TINY = [
    (configuration, dtype)
    for configuration in FAMILY.configurations
    if configuration.params["model"] in TINY_MODELS
    for dtype in configuration.dtypes
]


def test_the_sweep_below_is_not_empty():
    assert {configuration.params["model"] for configuration, _ in TINY} == set(TINY_MODELS)
    assert {configuration.phase for configuration, _ in TINY} == {"prefill", "decode", "training"}
    assert {dtype for _, dtype in TINY} == {"fp32", "bf16"}


@pytest.mark.parametrize(
    ("configuration", "dtype"),
    TINY,
    ids=[f"{configuration.name}-{dtype}" for configuration, dtype in TINY],
)
def test_the_memory_model_holds(configuration: Configuration, dtype: str, peak_bytes):
    modelled = FAMILY.footprint(configuration.params, dtype)

    measured = peak_bytes(make_program(configuration.params, dtype, 7))

    assert measured == pytest.approx(modelled.peak, rel=0.1)


@each_model
@pytest.mark.parametrize("options", [{}, {"micro_batches": 2}, {"recompute": True}], ids=str)
@pytest.mark.parametrize("sequence", [4, 256])
def test_the_memory_model_holds_where_gradients_or_activations_are_most(
    model: str, options: dict, sequence: int, peak_bytes
):
    params = {**params_of(model, "training", 2, sequence), **options}
    modelled = FAMILY.footprint(params, "fp32")
    rest = modelled.weights + modelled.inputs + modelled.optimizer

    measured = peak_bytes(make_program(params, "fp32", 7))

    assert measured == pytest.approx(modelled.peak, rel=0.1)
    # What a call adds to what lies there anyway is modelled as closely.
    assert measured - rest == pytest.approx(modelled.peak - rest, rel=0.12)
