"""Configurations of the transformers library, found without it, and the inputs of each."""

from __future__ import annotations

import json

import pytest

from trnbench.models.hf_config import default_inputs, find_config
from trnbench.models.input_spec import read_inputs

LLAMA = {"model_type": "llama", "vocab_size": 100, "max_position_embeddings": 64}
VIT = {"model_type": "vit", "image_size": 32, "num_channels": 3}
T5 = {"model_type": "t5", "vocab_size": 50, "is_encoder_decoder": True}


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "tiny-llama"
    found.mkdir()
    (found / "config.json").write_text(json.dumps(LLAMA))
    return found


def inputs(config, *given, phase="forward"):
    return " ".join(map(str, default_inputs(config, read_inputs(given), phase)))


def test_a_folder_is_named_by_its_last_part(folder):
    assert find_config(str(folder)) == ("tiny-llama", LLAMA)
    assert find_config(f"{folder}/") == ("tiny-llama", LLAMA)


def test_a_file_is_named_by_its_folder_or_by_itself(folder):
    other = folder / "wide.json"
    other.write_text(json.dumps(VIT))

    assert find_config(str(folder / "config.json")) == ("tiny-llama", LLAMA)
    assert find_config(str(other)) == ("wide", VIT)


def test_the_working_folder_has_a_name_too(folder, monkeypatch):
    monkeypatch.chdir(folder)

    assert find_config(".")[0] == "tiny-llama"
    assert find_config("config.json")[0] == "tiny-llama"


def test_home_is_found(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))

    assert find_config("~/tiny-llama") == ("tiny-llama", LLAMA)


def test_what_says_nothing_of_the_model_is_left_out(folder):
    saved = LLAMA | {
        "_name_or_path": "/home/somebody/model",
        "torch_dtype": "bfloat16",
        "transformers_version": "4.1",
        "auto_map": {"AutoModel": "code.Model"},
        "id2label": {"0": "cat", "1": "dog", "2": "cow"},
        "text_config": {"_name_or_path": "/home/somebody", "dtype": "float16", "hidden_size": 8},
    }
    (folder / "config.json").write_text(json.dumps(saved))

    _, config = find_config(str(folder))

    assert config == LLAMA | {"num_labels": 3, "text_config": {"hidden_size": 8}}


@pytest.mark.parametrize("text", ["{", "", "\x00", '{"model_type": }'])
def test_a_broken_file_is_named(folder, text):
    (folder / "config.json").write_text(text)

    with pytest.raises(ValueError, match=r"tiny-llama.config\.json can't be read: "):
        find_config(str(folder))


def test_a_file_that_is_no_text_is_named(folder):
    (folder / "config.json").write_bytes(b"\xff\xfe{}")

    with pytest.raises(ValueError, match=r"config\.json can't be read: "):
        find_config(str(folder))


def test_a_folder_without_a_configuration_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json can't be read: .*No such file"):
        find_config(str(tmp_path))


@pytest.mark.parametrize("content", [[], "llama", {}, {"model_type": None}, {"vocab_size": 3}])
def test_a_file_of_something_else_is_refused(folder, content):
    (folder / "config.json").write_text(json.dumps(content))

    with pytest.raises(
        ValueError, match=r"has no 'model_type': wanted the config\.json of a model"
    ):
        find_config(str(folder))


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no-such-model", "a/b/c", "/no/such"])
def test_a_name_that_is_not_here_says_how_to_fetch_it(tmp_path, monkeypatch, name):
    pytest.importorskip("huggingface_hub")
    monkeypatch.chdir(tmp_path)
    # Set by the lookup; this way it is as before afterwards.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(ValueError, match="no folder or file") as refused:
        find_config(name)

    assert f"no folder or file '{name}' is here" in str(refused.value)
    assert "nothing is downloaded" in str(refused.value)
    assert f"hf download {name} config.json" in str(refused.value)


def test_a_name_in_the_local_cache_is_found(folder, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    file = str(folder / "config.json")
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: file)

    assert find_config("somebody/tiny") == ("somebody/tiny", LLAMA)


# ------------------------------------------------------------------------------------ inputs


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (LLAMA, "input_ids=1x64:int64<100"),
        (LLAMA | {"max_position_embeddings": 4096}, "input_ids=1x128:int64<100"),
        ({"model_type": "gpt2", "vocab_size": 9, "n_positions": 16}, "input_ids=1x16:int64<9"),
        ({"model_type": "x", "vocab_size": 9}, "input_ids=1x128:int64<9"),
        ({"model_type": "x", "text_config": {"vocab_size": 7}}, "input_ids=1x128:int64<7"),
    ],
)
def test_text_models_take_token_ids_below_their_vocabulary(config, wanted):
    assert inputs(config) == wanted


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (VIT, "pixel_values=1x3x32x32"),
        ({"model_type": "vit", "image_size": [16, 24]}, "pixel_values=1x3x16x24"),
        ({"model_type": "resnet", "num_channels": 1}, "pixel_values=1x1x224x224"),
    ],
)
def test_vision_models_take_an_image(config, wanted):
    assert inputs(config) == wanted


def test_a_shape_alone_stands_for_the_first_input():
    assert inputs(LLAMA, "4x32") == "input_ids=4x32:int64<100"
    assert inputs(VIT, "8x3x32x32") == "pixel_values=8x3x32x32"
    assert inputs(LLAMA, "4x32:int32<10") == "input_ids=4x32:int32<10"
    assert (
        inputs(LLAMA, "4x32", "attention_mask=4x32:bool")
        == "input_ids=4x32:int64<100 attention_mask=4x32:bool"
    )


def test_named_inputs_are_all_there_are():
    assert inputs(LLAMA, "inputs_embeds=1x8x16") == "inputs_embeds=1x8x16"


def test_an_encoder_decoder_takes_ids_for_both():
    both = "input_ids=1x128:int64<50 decoder_input_ids=1x128:int64<50"

    assert inputs(T5) == both
    assert inputs(T5, "2x8") == "input_ids=2x8:int64<50 decoder_input_ids=2x8:int64<50"
    given = ("input_ids=1x8:int64<50", "decoder_input_ids=1x4:int64<50")
    assert inputs(T5, *given) == " ".join(given)


def test_what_takes_nothing_known_must_be_stated():
    unknown = {"model_type": "odd"}

    with pytest.raises(ValueError, match="of 'odd' says neither vocab_size nor image_size: state"):
        default_inputs(unknown, (), "forward")
    assert inputs(unknown, "2x8") == "2x8"


@pytest.mark.parametrize(
    ("config", "architecture", "labels"),
    [
        (LLAMA, "LlamaForCausalLM", " labels=1x64:int64<100"),
        (LLAMA, "GPT2LMHeadModel", " labels=1x64:int64<100"),
        (LLAMA, "BertForMaskedLM", " labels=1x64:int64<100"),
        (LLAMA, "BertForSequenceClassification", " labels=1:int64<2"),
        (LLAMA | {"num_labels": 5}, "BertForSequenceClassification", " labels=1:int64<5"),
        (VIT | {"num_labels": 10}, "ViTForImageClassification", " labels=1:int64<10"),
        (T5, "T5ForConditionalGeneration", " labels=1x128:int64<50"),
        (LLAMA, "LlamaModel", ""),
        (VIT, "ViTModel", ""),
    ],
)
def test_training_adds_the_labels_that_a_model_takes(config, architecture, labels):
    config = config | {"architectures": [architecture]}

    assert inputs(config, phase="training") == inputs(config) + labels
    assert "labels" not in inputs(config)


def test_labels_are_like_ids_and_not_like_a_mask():
    config = LLAMA | {"architectures": ["LlamaForCausalLM"]}
    given = ("2x8:int32<100", "attention_mask=2x8:int64<2")

    assert inputs(config, *given, phase="training").endswith(" labels=2x8:int64<100")


def test_training_without_an_architecture_has_no_labels():
    assert inputs(LLAMA, phase="training") == inputs(LLAMA)
    assert inputs(LLAMA | {"architectures": None}, phase="training") == inputs(LLAMA)


def test_labels_that_are_given_stay():
    config = LLAMA | {"architectures": ["LlamaForCausalLM"]}
    given = ("input_ids=2x8:int64<100", "labels=2x8:int64<10")

    assert inputs(config, *given, phase="training") == " ".join(given)
