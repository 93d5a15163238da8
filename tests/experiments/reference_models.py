"""Our models against those of transformers, with the same weights and inputs, side by side.

Prints for each model, phase and mode how many times as much ours does in a second as theirs, with
a 95 % interval: the median over rounds, in each of which both are called in turn. Everything runs
on one thread of this CPU, in fp32; mixtures in bf16, since grouped products compile in nothing
else. Theirs has what its users would give it: a static cache to decode
and where it is compiled, no logits but the last token's in prefill, the optimizer of one kernel.

python tests/experiments/reference_models.py [--rounds 40] [PATTERN...]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))

import test_decoder as decoders
import test_encoder as encoders
import test_mixture as mixtures
import test_resnet as resnets
import test_vit as vits

from trnbench.models.costs.decoder_sizes import MODELS as DECODERS
from trnbench.models.program import Program

#: Calls of a round last about this long, of each of the two.
ROUND_S = 0.03
WARM_UP = 6
SAMPLES = 5000

Call = Callable[[], Any]
#: Ours, theirs, and what puts theirs back between two calls, which isn't timed.
Pair = tuple[Call, Call, Call]


def nothing() -> None:
    """Theirs needs no more than to be called."""


def compile_as(mode: str, function: Any) -> Any:
    return torch.compile(function, dynamic=False) if mode == "compiled" else function


def ours_of(program: Program, mode: str) -> Call:
    made = program.moved(lambda value: value)
    if mode == "compiled":
        made = made.compiled_with(lambda f: torch.compile(f, fullgraph=True, dynamic=False))
    return made.bound_call()


def step_of(theirs: nn.Module, loss_of: Callable[[nn.Module], Any], mode: str) -> Call:
    """A training step as ours is: gradients cleared, forward with loss, backward, AdamW."""
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3, fused=True)
    compiled = compile_as(mode, theirs)

    def step() -> None:
        optimizer.zero_grad()
        loss_of(compiled).backward()
        optimizer.step()

    return step


def text_pair(module: Any, program: Program, theirs: nn.Module, phase: str, mode: str) -> Pair:
    """Decoders, dense and mixtures of experts."""
    import transformers

    if phase == "training":
        if module is decoders:
            text = decoders.text_of(program)
            return (
                ours_of(program, mode),
                step_of(theirs, lambda model: model(text, labels=text, use_cache=False).loss, mode),
                nothing,
            )

        def loss_of(model: nn.Module) -> Any:
            return mixtures.their_loss(model, program)

        return ours_of(program, mode), step_of(theirs, loss_of, mode), nothing
    theirs.eval().requires_grad_(requires_grad=False)
    call = compile_as(mode, theirs)
    if phase == "prefill":
        tokens = program.inputs[0]
        if mode == "eager":
            return (
                ours_of(program, mode),
                lambda: call(tokens, use_cache=True, logits_to_keep=1),
                nothing,
            )
        cache = transformers.StaticCache(config=theirs.config, max_cache_len=tokens.shape[1])
        theirs(tokens, past_key_values=cache, logits_to_keep=1)
        cache.reset()
        return (
            ours_of(program, mode),
            lambda: call(tokens, past_key_values=cache, logits_to_keep=1),
            cache.reset,
        )
    tokens, index = program.inputs[:2]
    places = int(index) + 1
    cache = transformers.StaticCache(config=theirs.config, max_cache_len=places)
    theirs(tokens.expand(-1, places - 1), past_key_values=cache, logits_to_keep=1)

    def put_back() -> None:
        for layer in cache.layers:
            layer.cumulative_length.fill_(places - 1)

    return ours_of(program, mode), lambda: call(tokens, past_key_values=cache), put_back


def decoder_pair(model: str, layers: int, phase: str, batch: int, tokens: int, mode: str) -> Pair:
    params = {**decoders.params_of(model, phase, batch, tokens), "layers": layers}
    program = decoders.make_program(params, "fp32", 7)
    theirs = decoders.with_our_weights(params, decoders.decoder_of(program))
    return text_pair(decoders, program, theirs, phase, mode)


def mixture_pair(dispatch: str, phase: str, mode: str) -> Pair:
    params = mixtures.params_of("mixtral-tiny", phase, dispatch)
    program = mixtures.make_program(params, "bf16", 7)
    theirs = mixtures.with_our_weights("mixtral-tiny", mixtures.decoder_of(program)).bfloat16()
    return text_pair(mixtures, program, theirs, phase, mode)


def encoder_pair(phase: str, mode: str) -> Pair:
    params = encoders.TRAINING if phase == "training" else encoders.FORWARD
    program = encoders.make_program(params, "fp32", 7)
    theirs = encoders.with_our_weights(params, encoders.masked_model(program))
    if phase == "training":
        return (
            ours_of(program, mode),
            step_of(theirs, lambda model: encoders.call_theirs(model, program)[1], mode),
            nothing,
        )
    call = compile_as(mode, theirs.eval().requires_grad_(requires_grad=False))
    return ours_of(program, mode), lambda: encoders.call_theirs(call, program), nothing


def image_pair(module: Any, part: Callable[[Program], Any], phase: str, mode: str) -> Pair:
    params = module.TRAINING if phase == "training" else module.FORWARD
    program = module.make_program(params, "fp32", 7)
    theirs = module.with_our_weights(params, part(program))
    if phase == "training":
        images, classes = program.inputs
        return (
            ours_of(program, mode),
            step_of(theirs.train(), lambda model: model(images, labels=classes).loss, mode),
            nothing,
        )
    call = compile_as(mode, theirs.eval().requires_grad_(requires_grad=False))
    return ours_of(program, mode), lambda: call(*program.inputs), nothing


def entries() -> Iterator[tuple[str, Callable[[], Pair]]]:
    """Names, and what makes the two."""
    shapes = {"prefill": (2, 128), "decode": (4, 256), "training": (2, 64)}
    models = [("llama-tiny", DECODERS["llama-tiny"].layers), ("gpt2", 2)]
    for mode in ("eager", "compiled"):
        for model, layers in models:
            for phase, shape in shapes.items():
                yield (
                    f"{model} {phase} {mode}",
                    lambda a=(model, layers, phase, *shape, mode): decoder_pair(*a),
                )
        for phase in shapes:
            yield (
                f"mixtral-tiny {phase} {mode}",
                lambda a=("grouped", phase, mode): mixture_pair(*a),
            )
        for phase in ("forward", "training"):
            yield f"bert-tiny {phase} {mode}", lambda a=(phase, mode): encoder_pair(*a)
            yield (
                f"vit-tiny {phase} {mode}",
                lambda a=(phase, mode): image_pair(vits, vits.vision_transformer, *a),
            )
            yield (
                f"resnet-tiny {phase} {mode}",
                lambda a=(phase, mode): image_pair(resnets, resnets.resnet, *a),
            )


def seconds_of(call: Call, after: Call, count: int) -> float:
    spent = 0.0
    for _ in range(count):
        begin = time.perf_counter()
        call()
        spent += time.perf_counter() - begin
        after()
    return spent


def compare(pair: Pair, rounds: int) -> tuple[float, float, float, float, float]:
    """Median ratio and its interval; seconds of a call of ours and of theirs."""
    ours, theirs, after = pair
    for call, then in ((ours, nothing), (theirs, after)):
        seconds_of(call, then, WARM_UP)
    alone = seconds_of(ours, nothing, 3) / 3
    count = max(1, round(ROUND_S / alone))
    both = []
    for _ in range(rounds):
        order = [(0, ours, nothing), (1, theirs, after)]
        random.shuffle(order)
        spent = [0.0, 0.0]
        for place, call, then in order:
            spent[place] = seconds_of(call, then, count) / count
        both.append(spent)
    times = np.array(both)
    ratios = times[:, 1] / times[:, 0]
    drawn = np.random.default_rng(1).choice(ratios, (SAMPLES, rounds))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return float(np.median(ratios)), float(low), float(high), *map(float, np.median(times, axis=0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("patterns", nargs="*")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name, make in entries():
        if options.patterns and not any(pattern in name for pattern in options.patterns):
            continue
        torch.compiler.reset()
        grad = torch.enable_grad() if "training" in name else torch.no_grad()
        with grad:
            ratio, low, high, ours, theirs = compare(make(), options.rounds)
        print(
            f"{name:32} {ratio:5.2f} ({low:.2f} to {high:.2f})  "
            f"ours {ours * 1e3:8.3f} ms, theirs {theirs * 1e3:8.3f} ms",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
