"""A model named on the command line, as cases: their names and parameters, and what is refused."""

from __future__ import annotations

import json
import re
import sys

import pytest

from trnbench.backends.protocol import Availability
from trnbench.bench import own_model, selection
from trnbench.bench.errors import UsageError
from trnbench.bench.options import RunOptions
from trnbench.bench.own_model import OwnModel, is_target, select_own

LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 100,
    "max_position_embeddings": 64,
}


class Device:
    name = "device"
    modes = ("eager", "compiled")
    modes_on_request = ("traced",)
    claims_cores = False

    def availability(self):
        return Availability(available=True, reason="it is here")


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    monkeypatch.setattr(selection.backends, "names", lambda: ("device",))
    monkeypatch.setattr(selection.backends, "create", lambda _: Device())


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a module that breaks whoever imports it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text(json.dumps(LLAMA))
    return tmp_path


@pytest.fixture
def transformers_here(monkeypatch):
    monkeypatch.setattr(own_model, "find_spec", lambda _: True)


def cases(target="mine:make", inputs=("8x128",), phase="forward", **asked):
    return select_own(RunOptions(**asked), OwnModel(target, inputs, phase))


def refusal(*args, **kwargs):
    with pytest.raises(UsageError) as refused:
        cases(*args, **kwargs)
    return str(refused.value)


@pytest.mark.parametrize("word", ["mine:make", "hf:tiny", "a.b:c.d", ":", "C:/x"])
def test_a_colon_makes_a_word_a_target(word):
    assert is_target(word)


@pytest.mark.parametrize("word", ["matmul", "mlp[", "square-512-fp32", ""])
def test_other_words_are_patterns(word):
    assert not is_target(word)


def test_no_case_has_a_colon_in_its_name():
    named = [case.node_name for case in selection.select(RunOptions(preset="full"))]

    assert len(named) > 100
    assert not any(map(is_target, named))


# -------------------------------------------------------------------------------- the modules


def test_a_model_is_measured_in_fp32_in_every_mode_of_a_backend():
    eager, compiled = cases()

    assert eager.node_name == "module[mine:make-8x128-fp32-eager-device]"
    assert compiled.node_name == "module[mine:make-8x128-fp32-compiled-device]"
    assert eager.params == {"target": "mine:make", "inputs": "8x128", "phase": "forward"}
    assert (eager.phase, eager.workload) == ("forward", "module")
    assert eager.key().params == eager.params


def test_dtypes_and_modes_are_those_asked_for():
    named = [case.node_name for case in cases(dtypes=("bf16", "fp16"), modes=("eager",))]

    assert named == [
        "module[mine:make-8x128-bf16-eager-device]",
        "module[mine:make-8x128-fp16-eager-device]",
    ]


def test_a_mode_on_request_is_of_inference():
    assert [case.mode for case in cases(modes=("traced",))] == ["traced"]
    assert cases(phase="training", modes=("traced",)) == []
    assert [c.mode for c in cases(phase="training", modes=("traced", "eager"))] == ["eager"]


def test_training_has_a_name_and_a_phase_of_its_own():
    case = cases(phase="training")[0]

    assert case.node_name == "module[mine:make-8x128-training-fp32-eager-device]"
    assert case.phase == case.params["phase"] == "training"


def test_inputs_of_equal_meaning_make_equal_cases():
    given = ("1x512<100", "mask = 1x512:bool")

    assert cases(inputs=given) == cases(inputs=("1x512:int64<100", "mask=1x512:bool"))
    case = cases(inputs=given)[0]
    assert case.params["inputs"] == "1x512:int64<100 mask=1x512:bool"
    assert case.configuration == "mine:make-1x512-1x512"


def test_a_nested_name_and_a_module_of_a_package_are_taken():
    case = cases("json.decoder:JSONDecoder.decode")[0]

    assert case.params["target"] == "json.decoder:JSONDecoder.decode"


def test_a_module_is_found_in_the_working_folder_and_not_imported(folder):
    assert cases()
    assert sys.path[-1] == str(folder) or "" in sys.path
    assert "mine" not in sys.modules


# -------------------------------------------------------------------------------- what is wrong


def test_an_unknown_phase_is_refused():
    assert refusal(phase="trainin") == (
        "unknown phase 'trainin'; known: forward, training. Did you mean 'training'?"
    )


def test_int8_is_for_built_in_workloads():
    assert refusal(dtypes=("fp32", "int8")) == (
        "dtype 'int8' is for built-in workloads; a model of your own is measured in fp32, bf16, "
        "fp16"
    )


def test_unknown_dtypes_and_modes_are_refused_as_elsewhere():
    assert refusal(dtypes=("fp8",)).startswith("unknown dtype 'fp8'; known: ")
    assert refusal(modes=("eagre",)).endswith("Did you mean 'eager'?")
    assert refusal(modes=("lazy",)).startswith("no chosen backend has the mode 'lazy': device has")


@pytest.mark.parametrize("target", ["mine:", ":make", "mine:make()", "./mine:make", "a b:c", "1:x"])
def test_a_target_that_cannot_be_is_refused(target):
    assert refusal(target) == f"{target}: wanted package.module:object, or hf: and a configuration"


def test_a_file_is_not_a_module():
    assert refusal("mine.py:make") == (
        "mine.py:make: 'mine.py' is a file; name its module: mine:make"
    )


def test_a_module_that_is_not_there_is_named():
    assert refusal("nowhere.models:make") == (
        "nowhere.models:make: no module 'nowhere' is installed or lies in the working folder; run "
        "from the folder that holds it, or install it"
    )


def test_inputs_must_be_stated():
    assert refusal(inputs=()) == (
        "mine:make: say what the model takes, an --input for each tensor; such as 8x128, "
        "8x3x224x224:fp32, '1x512:int64<32000', 1x512:bool"
    )


def test_an_input_that_cannot_be_read_is_refused():
    assert refusal(inputs=("8x128:float",)).startswith(
        "mine:make: input '8x128:float': unknown dtype 'float'; known: fp32, "
    )
    assert "those without a name come first" in refusal(inputs=("a=2", "2"))


# ------------------------------------------------------------------------------ configurations


@pytest.mark.usefixtures("transformers_here")
def test_a_configuration_carries_all_that_a_worker_needs(folder):
    case = cases("hf:tiny", inputs=())[0]

    assert case.node_name == "hf[tiny-1x64-fp32-eager-device]"
    assert json.loads(case.params["config"]) == LLAMA
    assert case.params["target"] == "hf:tiny"
    assert case.params["inputs"] == "input_ids=1x64:int64<100"
    # Wherever the folder lies, it is the same case.
    assert cases(f"hf:{folder}/tiny", inputs=())[0] == case


@pytest.mark.usefixtures("transformers_here")
def test_a_configuration_in_training_has_labels():
    case = cases("hf:tiny", inputs=("2x16",), phase="training")[0]

    assert case.configuration == "tiny-2x16-training"
    assert case.params["inputs"] == "input_ids=2x16:int64<100 labels=2x16:int64<100"


@pytest.mark.usefixtures("transformers_here")
def test_a_configuration_that_is_broken_is_a_usage_error(folder):
    (folder / "tiny" / "config.json").write_text("{}")

    assert re.fullmatch(
        r"hf:tiny: .*config\.json has no 'model_type': wanted the config\.json of a model",
        refusal("hf:tiny", inputs=()),
    )


@pytest.mark.usefixtures("transformers_here")
def test_a_configuration_that_is_not_here_is_a_usage_error(monkeypatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    refused = refusal("hf:nobody/nothing", inputs=())

    assert refused.startswith("hf:nobody/nothing: no folder or file 'nobody/nothing' is here")


def test_without_the_library_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setattr(own_model, "find_spec", lambda _: None)

    assert refusal("hf:tiny", inputs=()) == (
        "hf:tiny: a Hugging Face configuration wants the transformers library: pip install "
        '"trnbench[hf]"'
    )
