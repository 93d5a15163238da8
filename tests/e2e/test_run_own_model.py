"""A model of one's own through the real command line: from a module in the working folder, and
from a configuration of the transformers library."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

MEASURED = {"OK", "NOT_STEADY"}

MINE = """
import torch
from torch import nn


def make():
    return nn.Sequential(nn.Linear(128, 256), nn.Dropout(0.5), nn.GELU(), nn.Linear(256, 16))


class Breaks(nn.Linear):
    def forward(self, x):
        if x.dtype == torch.bfloat16:
            raise RuntimeError("the model's own words")
        return super().forward(x)


def broken():
    return Breaks(128, 8)


class Choosy(nn.Module):
    # By a value, which no graph holds: between products, or in a loop over layers.

    def __init__(self, in_a_loop):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(3))
        self.in_a_loop = in_a_loop

    def forward(self, x):
        if self.in_a_loop:
            for layer in self.layers:
                if x.sum() < 1e9:
                    x = layer(x)
            return x
        first, second, third = self.layers
        x = first(x)
        if x.sum() < 1e9:
            x = second(x).relu()
        return third(x)


def choosy():
    return Choosy(in_a_loop=False)


def looping():
    return Choosy(in_a_loop=True)


def masked(x, mask):
    return x.masked_fill(mask, 0.0).softmax(-1)
"""

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 64,
    "torch_dtype": "bfloat16",
}


class Command:
    """``trnbench run`` in a folder, and what it recorded by dtype."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    def __call__(self, *words):
        self.count += 1
        out = f"run{self.count}"
        options = ("--processes", "1", "--budget", "0.05", "--backend", "cpu", "--out", out)
        ran = subprocess.run(
            [sys.executable, "-m", "trnbench", "run", *words, *options],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        lines = [
            json.loads(line)
            for path in (self.folder / out).rglob("*.jsonl")
            for line in path.read_text().splitlines()
        ]
        return ran, {record["case"]["dtype"]: record for record in lines}


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(MINE)
    (folder / "tiny").mkdir()
    (folder / "tiny" / "config.json").write_text(json.dumps(LLAMA))
    return Command(folder)


@pytest.fixture(scope="module")
def forward(command):
    return command("mine:make", "--input", "8x128", "--mode", "eager")


def test_a_model_is_measured_and_checked(forward):
    ran, records = forward
    record = records["fp32"]

    assert ran.returncode == (record["status"] != "OK"), ran.stderr
    assert record["status"] in MEASURED
    assert record["case"]["workload"] == "module"
    assert record["case"]["configuration"] == "mine:make-8x128"
    assert record["case"]["params"] == {
        "target": "mine:make",
        "inputs": "8x128",
        "phase": "forward",
    }
    assert 0 < record["numeric"]["error"] <= record["numeric"]["bound"] < 1e-4
    assert record["numeric"]["reference"] == "float64 on the CPU"
    assert len(record["processes"][0]["sustained"]["wall_ns"]) >= 3


def test_its_cost_is_counted_and_said_to_be(forward):
    record = forward[1]["fp32"]
    weights = 128 * 256 + 256 * 16

    assert record["cost"]["flops"] == 2 * 8 * weights
    assert record["cost"]["bytes_useful"] == 4 * (8 * 128 + weights + 256 + 16 + 8 * 16)
    assert (record["cost"]["items"], record["cost"]["item_unit"]) == (8, "samples")
    assert record["cost"]["estimated"] is True
    assert "ESTIMATED_COST" in record["flags"]


def test_named_inputs_reach_a_function(command):
    ran, records = command(
        *("mine:masked", "--input", "4x16", "--input", "mask=4x16:bool", "--mode", "eager")
    )
    record = records["fp32"]

    assert ran.returncode == (record["status"] != "OK"), ran.stderr
    assert record["status"] in MEASURED
    assert record["case"]["params"]["inputs"] == "4x16 mask=4x16:bool"
    assert record["cost"]["flops"] == 0


def test_a_training_step_is_measured(command):
    ran, records = command(
        *("mine:make", "--input", "8x128", "--phase", "training", "--mode", "eager")
    )
    record = records["fp32"]
    (outcome,) = record["processes"]

    assert ran.returncode == (record["status"] != "OK"), ran.stderr
    assert record["status"] in MEASURED
    assert record["case"]["phase"] == "training"
    assert record["case"]["configuration"] == "mine:make-8x128-training"
    assert record["numeric"]["error"] <= record["numeric"]["bound"]
    # Three products a weight, less the gradient of the input.
    assert record["cost"]["flops"] == 2 * 8 * (2 * 128 * 256 + 3 * 256 * 16)
    assert set(outcome["split_ns"]) >= {"forward", "backward", "optimizer"}


def test_a_model_that_raises_is_a_failure_in_its_own_words_and_others_are_kept(command):
    ran, records = command(
        *("mine:broken", "--input", "8x128", "--dtype", "bf16,fp32", "--mode", "eager")
    )

    assert ran.returncode == 1
    assert records["bf16"]["status"] == "RUNTIME_ERROR"
    assert "the model's own words" in records["bf16"]["failure"]["message"]
    assert records["bf16"]["processes"][0]["sustained"] is None
    assert records["fp32"]["status"] in MEASURED
    assert records["fp32"]["failure"] is None


def test_an_input_of_the_wrong_shape_is_a_failure_of_the_call(command):
    ran, records = command("mine:make", "--input", "8x64", "--mode", "eager")

    assert ran.returncode == 1
    assert records["fp32"]["status"] == "RUNTIME_ERROR"
    assert "8x64" in records["fp32"]["failure"]["message"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mine:make",), "say what the model takes, an --input for each tensor"),
        (("nowhere:make", "--input", "8"), "no module 'nowhere' is installed or lies in the"),
        (("--input", "8"), "--input and --phase describe a model of your own"),
        (("mine:make", "matmul", "--input", "8"), "name one model a run, and nothing else"),
    ],
)
def test_a_wrong_line_is_refused_before_anything_starts(command, words, message):
    ran, records = command(*words)

    assert ran.returncode == 4
    assert message in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
    assert records == {}


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers isn't installed")
@pytest.mark.parametrize("phase", ["forward", "training"])
@pytest.mark.slow
def test_a_configuration_is_measured_with_random_weights(command, phase):
    ran, records = command("hf:tiny", "--phase", phase, "--mode", "eager")
    record = records["fp32"]

    assert ran.returncode == (record["status"] != "OK"), ran.stderr
    assert record["status"] in MEASURED
    assert record["case"]["workload"] == "hf"
    assert record["case"]["params"]["target"] == "hf:tiny"
    inputs = record["case"]["params"]["inputs"]
    assert inputs.startswith("input_ids=1x64:int64<100")
    assert ("labels=1x64:int64<100" in inputs) == (phase == "training")
    assert record["numeric"]["error"] <= record["numeric"]["bound"]
    assert (record["cost"]["items"], record["cost"]["item_unit"]) == (64, "tokens")
    # Every weight but the table of embeddings takes part in a product for each token.
    products = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64) + 32 * 100
    assert record["cost"]["flops"] > 2 * 64 * products
    assert "ESTIMATED_COST" in record["flags"]


@pytest.mark.slow
def test_a_compiled_model_is_right_too(command):
    ran, records = command("mine:make", "--input", "8x128", "--mode", "compiled")
    record = records["fp32"]

    assert ran.returncode == (record["status"] != "OK"), ran.stderr
    assert record["status"] in MEASURED
    assert record["numeric"]["error"] <= record["numeric"]["bound"]


@pytest.mark.slow
def test_a_model_of_several_graphs_is_measured_and_says_so(command):
    ran, records = command("mine:choosy", "--input", "8x64", "--mode", "compiled")
    record = records["fp32"]

    assert ran.returncode == (record["status"] != "OK"), ran.stderr
    assert record["status"] in MEASURED
    assert record["processes"][0]["graphs_compiled"] >= 2
    assert record["processes"][0]["graph_breaks"] >= 1
    assert "GRAPH_BREAKS" in record["flags"]


@pytest.mark.slow
def test_a_model_of_which_nothing_is_compiled_is_no_compiled_result(command):
    ran, records = command("mine:looping", "--input", "8x64", "--mode", "compiled")
    record = records["fp32"]

    assert ran.returncode == 1
    assert record["status"] == "COMPILE_ERROR"
    assert "compiled nothing of it" in record["failure"]["message"]
    assert "mode eager" in record["failure"]["mend"]
    assert record["processes"][0]["sustained"] is None
