"""Configurations of the transformers library, read from local files, and the inputs that a model
of each takes. Imports neither that library nor torch.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .input_spec import InputSpec

FILE = "config.json"
#: What says nothing of the model that random weights are drawn for: where it came from, what it
#: was saved in, its classes' names.
_LEFT_OUT = frozenset(
    {"transformers_version", "torch_dtype", "dtype", "auto_map", "id2label", "label2id"}
    | {"quantization_config", "task_specific_params"}
)
#: Token ids of a call, where the model has places for as many.
TOKENS = 128
#: What most vision models are trained on, where a configuration doesn't say.
IMAGE_SIZE, CHANNELS = 224, 3
_LABELLED_LIKE_INPUTS = ("ForCausalLM", "LMHeadModel", "ForMaskedLM")
_LABELLED_BY_ROW = ("ForSequenceClassification", "ForImageClassification")


def find_config(given: str) -> tuple[str, dict[str, Any]]:
    """A short name and the configuration of a folder, a file, or a name in the local cache.

    The name of a folder or file is its last part. Raises ``ValueError`` for what isn't here, or
    is no configuration. Nothing is downloaded.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        name, file = path.resolve().name, path / FILE
    elif path.is_file():
        name, file = path.resolve().parent.name if path.name == FILE else path.stem, path
    else:
        name, file = given, _find_cached(given)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} can't be read: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ValueError(  # noqa: TRY004 - it is the file that is wrong
            f"{file} has no 'model_type': wanted the config.json of a model"
        )
    return name, _trimmed(config)


def default_inputs(
    config: Mapping[str, Any], given: Sequence[InputSpec], phase: str
) -> tuple[InputSpec, ...]:
    """The inputs of one call: those given, with what they leave out.

    Text models: token ids 1x128 below the vocabulary; vision models: one image. A shape alone
    stands for the first input of the model. In training, labels where the model takes them.
    Raises ``ValueError`` where the configuration doesn't say what the model takes.
    """
    main = _main_input(config)
    specs = list(given)
    if main is not None and (not specs or specs[0].name is None):
        first = specs[0] if specs else InputSpec(main.shape)
        whole = first.dtype is not None
        specs[:1] = [
            InputSpec(
                first.shape,
                first.dtype if whole else main.dtype,
                first.bound if whole else main.bound,
                main.name,
            )
        ]
    if not specs:
        raise ValueError(
            f"the configuration of '{config['model_type']}' says neither vocab_size nor image_size: "
            "state the inputs, such as --input '1x128:int64<32000'"
        )
    names = {spec.name for spec in specs}
    if config.get("is_encoder_decoder") and main is not None and "decoder_input_ids" not in names:
        ids = InputSpec(specs[0].shape, "int64", _vocabulary(config), "decoder_input_ids")
        if main.name == "input_ids" and ids.bound is not None:
            specs.append(ids)
    if phase == "training" and "labels" not in names:
        specs += _labels(config, specs)
    return tuple(specs)


def _main_input(config: Mapping[str, Any]) -> InputSpec | None:
    vocabulary = _vocabulary(config)
    if vocabulary is not None:
        places = config.get("max_position_embeddings") or config.get("n_positions") or TOKENS
        return InputSpec((1, min(places, TOKENS)), "int64", vocabulary, "input_ids")
    size, channels = config.get("image_size"), config.get("num_channels")
    if size is None and channels is None:
        return None
    height, width = (size, size) if not isinstance(size, list) else size
    shape = (1, channels or CHANNELS, height or IMAGE_SIZE, width or IMAGE_SIZE)
    return InputSpec(shape, None, None, "pixel_values")


def _vocabulary(config: Mapping[str, Any]) -> int | None:
    nested = config.get("text_config")
    found = config.get("vocab_size")
    if found is None and isinstance(nested, Mapping):
        found = nested.get("vocab_size")
    return found if isinstance(found, int) and found > 0 else None


def _labels(config: Mapping[str, Any], specs: Sequence[InputSpec]) -> list[InputSpec]:
    architecture = (config.get("architectures") or [""])[0]
    if architecture.endswith(_LABELLED_BY_ROW):
        return [InputSpec(specs[0].shape[:1], "int64", config.get("num_labels", 2), "labels")]
    like = ""
    if architecture.endswith(_LABELLED_LIKE_INPUTS):
        like = "input_ids"
    elif architecture.endswith("ForConditionalGeneration"):
        like = "decoder_input_ids"
    # By name: a mask may follow them. Losses take no narrower integers than int64.
    return [
        InputSpec(spec.shape, "int64", spec.bound, "labels")
        for spec in specs
        if spec.name == like and spec.bound is not None
    ]


def _find_cached(name: str) -> Path:
    # Read when the library is imported.
    os.environ["HF_HUB_OFFLINE"] = "1"
    hub: Any = import_module("huggingface_hub")
    found = None
    if re.fullmatch(r"[\w.-]+(?:/[\w.-]+)?", name):
        found = hub.try_to_load_from_cache(name, FILE)
    if not isinstance(found, str):  # else None, or a mark that there is no such file
        raise ValueError(  # noqa: TRY004 - it is the name that is wrong
            f"no folder or file '{name}' is here, and the local cache holds no {FILE} of that "
            f"name; nothing is downloaded. Fetch it first: hf download {name} {FILE}"
        )
    return Path(found)


def _trimmed(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        key: _trimmed(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in _LEFT_OUT and not key.startswith("_")
    }
    if isinstance(config.get("id2label"), Mapping):
        kept["num_labels"] = len(config["id2label"])
    return kept
