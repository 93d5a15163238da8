"""Decoders: their sizes against published counts, their phases against each other, and costs
and memory worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trnbench.models.costs.decoder import FAMILY, MODELS, cost, footprint
from trnbench.models.decoder import Decode, Decoder, NextTokenLoss, Prefill, make_program
from trnbench.models.inputs import Draw

TINY = ("llama-tiny", "qwen3-tiny", "gpt2-tiny")
each_model = pytest.mark.parametrize("model", TINY)

#: As the authors of the models count them.
PUBLISHED = {
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "gpt2": 124_439_808,
    "qwen3-0.6b": 596_049_920,
    "qwen3-8b": 8_190_735_360,
}


def params_of(model: str, phase: str, batch: int, tokens: int, **options) -> dict:
    length = "context" if phase == "decode" else "sequence"
    layers = options.pop("layers", MODELS[model].layers)
    return {
        "model": model,
        "phase": phase,
        "layers": layers,
        "batch": batch,
        length: tokens,
        **options,
    }


def make_decoder(model: str, places: int, layers: int | None = None) -> tuple[Decoder, Draw]:
    sizes, draw = MODELS[model], Draw("fp32", 7)
    decoder = Decoder(sizes, sizes.layers if layers is None else layers, places, draw)
    return decoder.requires_grad_(requires_grad=False), draw


def make_caches(decoder: Decoder, model: str, batch: int, places: int, draw: Draw) -> list[Tensor]:
    heads = MODELS[model].attention
    shape = batch, heads.kv_heads, places, heads.head_width
    return [draw.unset(*shape) for _ in range(2 * len(decoder.blocks))]


def near(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= 1e-5 * other.abs().max())


# ------------------------------------------------------------------------------- sizes


def test_every_published_model_has_its_published_size():
    assert {name for name in MODELS if not name.endswith("-tiny")} == set(PUBLISHED)
    counted = {name: MODELS[name].parameters(MODELS[name].layers) for name in PUBLISHED}

    assert counted == PUBLISHED


@each_model
@pytest.mark.parametrize("layers", [1, 2])
def test_a_decoder_has_as_many_parameters_as_its_sizes_say(model: str, layers: int):
    decoder, _ = make_decoder(model, 8, layers)

    assert sum(p.numel() for p in decoder.parameters()) == MODELS[model].parameters(layers)


# ------------------------------------------------------------------------------- phases


@each_model
def test_token_by_token_gives_what_the_whole_text_gives(model: str):
    batch, prompt, places = 2, 5, 12
    decoder, draw = make_decoder(model, places)
    caches = make_caches(decoder, model, batch, places, draw)
    text_BT = draw.integers(batch, places, limit=MODELS[model].vocabulary)
    whole_BTV = decoder.logits(decoder(text_BT))

    decode = Decode(decoder, places)
    found = [Prefill(decoder, prompt)(text_BT[:, :prompt], *caches)]
    found += [
        decode(text_BT[:, place : place + 1], torch.tensor([place]), *caches)
        for place in range(prompt, places)
    ]

    assert len(found) == places - prompt + 1
    for step, logits_BV in enumerate(found):
        assert near(logits_BV, whole_BTV[:, prompt - 1 + step])


@each_model
def test_what_fills_a_bucket_behind_a_prompt_changes_nothing(model: str):
    program = make_program(params_of(model, "prefill", 2, 32, prompt=20), "fp32", 7)
    tokens_BT, keys_BGSK, *_ = program.inputs
    logits_BV = program().clone()
    kept_BGSK = keys_BGSK[:, :, :20].clone()
    short = make_program(params_of(model, "prefill", 2, 20), "fp32", 7)
    short.inputs[0].copy_(tokens_BT[:, :20])

    tokens_BT[:, 20:] = 0
    refilled_BV = program()

    assert torch.equal(refilled_BV, logits_BV)
    assert torch.equal(keys_BGSK[:, :, :20], kept_BGSK)
    assert near(logits_BV, short())
    assert not near(logits_BV, make_program(params_of(model, "prefill", 2, 32), "fp32", 7)())


@each_model
def test_prefill_writes_every_place_of_every_cache(model: str):
    program = make_program(params_of(model, "prefill", 2, 32), "fp32", 7)
    _, *caches = program.inputs
    assert len(caches) == 4
    assert all((cache == -1000).all() for cache in caches)

    program()

    assert all((cache != -1000).all() for cache in caches)
    assert len({float(cache.sum()) for cache in caches}) == 4


@each_model
def test_decoding_reads_all_places_and_writes_the_last(model: str):
    program = make_program(params_of(model, "decode", 2, 32), "fp32", 7)
    _, index, *caches = program.inputs
    before = [cache.clone() for cache in caches]
    assert index.tolist() == [31]

    logits_BV = program().clone()

    for cache, old in zip(caches, before, strict=True):
        assert torch.equal(cache[:, :, :-1], old[:, :, :-1])
        assert (cache[:, :, -1] != -1000).all()
    caches[1][:, :, 0] += 1.0
    assert not near(program(), logits_BV)


@each_model
def test_the_loss_is_of_the_next_token(model: str):
    decoder, draw = make_decoder(model, 8)
    text_BT = draw.integers(2, 9, limit=MODELS[model].vocabulary)
    tokens_BT, next_BT = text_BT[:, :-1], text_BT[:, 1:]
    chances = decoder.logits(decoder(tokens_BT)).double().softmax(-1)

    wanted = -chances.gather(-1, next_BT[..., None]).log().mean()

    assert abs(NextTokenLoss(decoder)(tokens_BT, next_BT) - wanted) < 1e-5


def test_training_data_is_one_text_and_not_what_the_weights_were_drawn_from():
    for precision in ("plain", "autocast"):
        params = params_of("llama-tiny", "training", 2, 64, precision=precision)
        program = make_program(params, "bf16", 7)
        tokens_BT, next_BT = program.inputs

        assert torch.equal(tokens_BT[:, 1:], next_BT[:, :-1])
        fresh_BT = Draw("bf16", 7).integers(2, 65, limit=1024)
        assert not torch.equal(tokens_BT, fresh_BT[:, :-1])
        wide = {parameter.dtype for parameter in program.function.parameters()}
        assert wide == {torch.float32 if precision == "autocast" else torch.bfloat16}


def test_llama_turns_slow_pairs_slower_and_fast_ones_as_ever():
    heads = MODELS["llama-tiny"].attention
    decoder, _ = make_decoder("llama-tiny", 2)
    half = heads.head_width // 2
    turns = torch.asin(-decoder.rotary.sin_S1K[1, 0, :half].double())
    plain = 500_000.0 ** (-torch.arange(half).double() / half)
    length = 2 * torch.pi / plain

    fast, slow = length < 64 / 4, length > 64
    assert fast.sum() >= 2
    assert slow.sum() >= 2
    assert torch.allclose(turns[fast], plain[fast], rtol=1e-5)
    assert torch.allclose(turns[slow], plain[slow] / 8, rtol=1e-5)
    assert torch.equal(decoder.rotary.cos_S1K[0], torch.ones(1, heads.head_width))


# ------------------------------------------------------------------------------- cost


def test_decoding_a_token_costs_two_operations_a_weight_and_four_a_place():
    sizes = MODELS["llama-3.1-8b"]
    found = cost(params_of("llama-3.1-8b", "decode", 3, 1000), "bf16")

    weights = 32 * (4096 * (4096 + 2 * 1024) + 4096 * 4096 + 3 * 4096 * 14_336) + 4096 * 128_256
    places = 32 * 32 * 128 * 1000
    assert found.flops == found.flops_counted == 3 * (2 * weights + 4 * places)
    assert found.items == 3
    parameters = sizes.parameters(32) - 128_256 * 4096 + 3 * 4096
    cache = 3 * 1000 * 131_072  # 128 KiB a token, the new one among them
    assert found.bytes_useful == 2 * (parameters + 3 * 128_256) + cache + 3 * 8
    assert found.bytes_moved > found.bytes_useful
    assert found.bytes_copied == 2 * cache


def test_training_costs_six_operations_a_weight_and_token():
    found = cost(params_of("gpt2", "training", 2, 128), "fp32")

    sizes = MODELS["gpt2"]
    weights = 12 * 12 * 768**2 + sizes.vocabulary * 768
    pairs = 2 * 12 * 12 * (128 * 129 // 2)  # causal: those that are needed
    assert found.flops == 6 * weights * 256 + 3 * 4 * pairs * 64
    assert found.flops_recomputed == 0
    assert found.vector_flops > 13 * sizes.parameters(12)


@each_model
@pytest.mark.parametrize("phase", ["prefill", "decode", "training"])
def test_a_layer_less_costs_a_layer_less(model: str, phase: str):
    params = params_of(model, phase, 2, 32)
    one, two = (cost({**params, "layers": layers}, "bf16") for layers in (1, 2))
    again = cost(params, "bf16")

    assert again == two
    # The embedding and the head are there once in both.
    head = 2 * 2 * 128 * 1024 * (3 * 32 if phase == "training" else 1)
    assert two.flops - one.flops == one.flops - head > 0
    assert two.bytes_moved > one.bytes_moved


def test_padding_is_counted_and_not_useful():
    whole = cost(params_of("llama-tiny", "prefill", 2, 128), "fp32")
    short = cost(params_of("llama-tiny", "prefill", 2, 100), "fp32")

    padded = cost(params_of("llama-tiny", "prefill", 2, 128, prompt=100), "fp32")

    assert (padded.items, padded.items_padded) == (200, 56)
    assert padded.flops == short.flops < whole.flops
    assert padded.flops_counted == whole.flops_counted
    assert padded.bytes_moved == whole.bytes_moved
    assert (whole.items, whole.items_padded) == (256, 0)


def test_micro_batches_read_the_weights_once_each():
    params = params_of("llama-tiny", "training", 4, 64)
    whole, cut = cost(params, "fp32"), cost({**params, "micro_batches": 4}, "fp32")

    assert cut.flops == whole.flops
    assert cut.flops_counted == whole.flops_counted
    products = MODELS["llama-tiny"].parameters(2) - 1024 * 128 - 5 * 128
    # Forward, and once for the gradient of the input and one of the weight, which is written;
    # the gradients of later parts are added.
    assert cut.bytes_moved - whole.bytes_moved > 3 * 3 * 4 * products
    assert cut.items == whole.items == 256
    need, less = footprint(params, "fp32"), footprint({**params, "micro_batches": 4}, "fp32")
    assert less.activations < need.activations


def test_recomputing_trades_memory_for_work():
    params = params_of("llama-3.1-8b", "training", 1, 4096)
    kept, again = (cost({**params, "recompute": on}, "bf16") for on in (False, True))

    assert again.flops == kept.flops
    assert again.flops_counted == kept.flops_counted + again.flops_recomputed
    # Not quite a forward pass: neither the head nor the last product of a block runs again.
    assert 0.15 * kept.flops < again.flops_recomputed < kept.flops / 3
    less, need = (footprint({**params, "recompute": on}, "bf16") for on in (True, False))
    assert less.activations < 0.5 * need.activations
    assert less.peak < need.peak


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"layers": 3}, "'layers' must be at most 2, not 3"),
        ({"prompt": 33}, "'prompt' must be at most 32, not 33"),
        ({"sequence": 2048, "prompt": 8}, "'sequence' must be at most 1024, not 2048"),
        ({"phase": "training", "micro_batches": 3}, "'micro_batches' must divide 2, not be 3"),
        ({"model": "llama"}, "'model' must be one of llama-tiny, .*, not 'llama'"),
        ({"phase": "forward"}, "'phase' must be one of prefill, decode, training"),
    ],
)
def test_a_call_that_cannot_be_is_refused(params: dict, message: str):
    with pytest.raises(ValueError, match=message):
        make_program({**params_of("llama-tiny", "prefill", 2, 32), **params}, "fp32", 7)


# ------------------------------------------------------------------------------- memory


def test_memory_of_serving_an_8b_model():
    need = footprint(params_of("llama-3.1-8b", "decode", 16, 4096), "bf16")

    table = 2 * 4096 * 128  # cosines and sines
    assert need.weights == 2 * (8_030_261_248 + table) + 8 * 4096
    assert need.cache == 16 * 4096 * 131_072  # 8 GiB
    assert need.peak == need.weights + need.cache + need.inputs + need.activations
    assert need.activations < 0.01 * need.weights


def test_memory_of_training_an_8b_model():
    params = params_of("llama-3.1-8b", "training", 1, 4096, precision="master", recompute=True)
    need = footprint(params, "bf16")

    assert need.gradients == 6 * 8_030_261_248
    assert need.optimizer == 12 * 8_030_261_248
    # All gradients are there when the activations are gone.
    assert need.peak == need.weights + need.inputs + need.optimizer + need.gradients


# ------------------------------------------------------------------------------- configurations


def test_each_model_has_each_phase():
    phases = {model: set() for model in MODELS}
    for configuration in FAMILY.configurations:
        phases[configuration.params["model"]].add(configuration.phase)

    assert phases.pop("qwen3-8b") == {"prefill", "decode"}
    assert len(phases) == 8
    assert all(found == {"prefill", "decode", "training"} for found in phases.values())


def test_what_is_too_large_for_a_reference_is_checked_on_less():
    large = [c for c in FAMILY.configurations if c.params["layers"] > 12]
    assert len(large) > 10
    for configuration in large:
        assert configuration.checked["layers"] == 1
        checked = cost(configuration.checked, "bf16")
        assert checked.flops < 0.3 * cost(configuration.params, "bf16").flops
        assert checked.flops < 1e12


def test_plain_bf16_trains_at_a_rate_that_moves_weights_of_one():
    plain = [
        configuration
        for configuration in FAMILY.configurations
        if configuration.phase == "training"
        and "bf16" in configuration.dtypes
        and configuration.params.get("precision", "plain") == "plain"
    ]
    assert len(plain) > 4
    assert all(c.params["learning_rate"] > 2**-8 for c in plain)
