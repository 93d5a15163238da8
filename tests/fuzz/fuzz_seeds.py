"""What the mutations start from: files as this project and the other programs write them."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

from trnbench.bench.roofs import catalog_roofs
from trnbench.results.baseline import slim
from trnbench.results.frame import frame_of
from trnbench.results.parquet import write_parquet
from trnbench.results.published import COLUMNS
from trnbench.results.record import Failure, NumericError, Record, Sensor, Status
from trnbench.results.store import RunHeader, create_run, read_records
from trnbench.specs.attained import (
    AttainedBandwidth,
    AttainedCeiling,
    AttainedMatmul,
    CacheSize,
)
from trnbench.specs.catalog import load_catalog

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests" / "unit"
#: Outputs of real tools, beside the project and no part of it.
SAMPLES = ROOT.parent / "shared" / "neuron_samples"
#: A sample has thousands of lines of which all say the same.
_LONGEST_SAMPLE = 20_000


@cache
def _module(name: str) -> ModuleType:
    """A file of tests/unit, whose builders and examples serve here too."""
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", UNIT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def made_records() -> tuple[Record, ...]:
    """Few and short, but with every part of a record in one of them."""
    make = _module("conftest").Make
    outcomes = [
        make.outcome(
            number,
            sustained=make.samples(time_s, count=3),
            isolated=make.samples(time_s * 1.2, count=3),
        )
        for number, time_s in enumerate((1e-3, 1.01e-3))
    ]
    whole = make.record().model_copy(update={"processes": outcomes})
    device = make.device(
        name="NVIDIA H100 80GB HBM3", chip="h100_sxm", share=1.0, facts={"instance_type": "p5"}
    )
    environment = make.environment(git={"commit": "f00d", "dirty": False}, variables={"XLA_A": "1"})
    compiled = make.outcome(
        0,
        2e-3,
        compile_ns=10**9,
        first_call_ns=2 * 10**9,
        cache_state="cold",
        graphs_compiled=1,
        graph_breaks=0,
        split_ns={"device": [900, 1000]},
        fallbacks=["aten::add"],
        numeric=NumericError(error=1e-6, bound=1e-3, reference="float64 on the CPU"),
        telemetry={"power_w": Sensor(unit="W", mean=100.0, least=90.0, most=110.0, samples=9)},
        executed_dtype="fp32",
        peak_memory_bytes=10**9,
        clock_hz=3e9,
    )
    other = make.record(make.case(configuration="square-1024", mode="compiled", dtype="bf16"))
    estimate = other.summary.sustained if other.summary is not None else None
    call_s = estimate.value if estimate else 1e-3
    roofs = catalog_roofs(make.cost(), device, "bf16", call_s, load_catalog()).roofs
    other = other.model_copy(
        update={
            "device": device,
            "environment": environment,
            "processes": [compiled],
            "compile_s": 1.0,
            "roofs": roofs,
            "label": "some label",
        }
    )
    failed = make.record(
        make.case(configuration="square-2048"),
        status=Status.RUNTIME_ERROR,
        failure=Failure(message="no luck", mend="try again", kind="RuntimeError"),
        summary=None,
    )
    return whole, other, failed


@cache
def measured_records() -> tuple[Record, ...]:
    """Some that are measured here and now, by the program itself."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *(sys.executable, "-m", "trnbench", "run", "matmul", "copy-384KiB"),
                *("--backend", "cpu", "--dtype", "fp32", "--processes", "2"),
                *("--budget", "0.02", "--out", folder),
            ],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        files = sorted(Path(folder).glob("*.jsonl"))
        records = tuple(slim(record) for file in files for record in read_records(file).records)
    if not records:
        raise SystemExit("trnbench run measured nothing: see what it says in a terminal")
    return records


def _lines(records: tuple[Record, ...]) -> bytes:
    return "".join(f"{record.model_dump_json()}\n" for record in records).encode()


def _records() -> list[bytes]:
    made = made_records()
    return [_lines(made), *(_lines((record,)) for record in made), _lines(tuple(map(slim, made)))]


def _journal() -> list[bytes]:
    whole, other, _ = made_records()
    with tempfile.TemporaryDirectory() as name:
        header = RunHeader(time=whole.time, label="x", cases=[whole.case, other.case])
        with create_run(Path(name), whole.run, header) as writer:
            writer.journal(whole.case, whole.processes[0], whole.device)
            writer.journal(other.case, other.processes[0], other.device)
        return [next(Path(name).glob("*.partial")).read_bytes()]


def _imports() -> list[bytes]:
    imports = _module("test_imports")
    return [*(text.encode() for text in imports.EXAMPLES.values()), *_published()]


def _published() -> list[bytes]:
    row = dict.fromkeys(COLUMNS, "") | {
        "id": "some-gemm",
        "source_repo_or_doc": "who/what",
        "source_path": "page.md",
        "source_date": "2026-09",
        "chip": "Trainium1",
        "n_devices": "1",
        "instance_type": "trn1.2xlarge",
        "workload": "some gemm",
        "phase": "op",
        "model_params_or_shape": '{"op": "gemm", "m": 128, "n": 256, "k": 512}',
        "dtype": "bf16",
        "parallelism": "cores=1",
        "metric": "throughput",
        "value": "10",
        "unit": "TFLOP/s",
        "flops": "3.35544e+07",
        "bytes": "459000",
        "time_s": "3.35544e-06",
        "flags": "estimated",
    }
    model = row | {
        "id": "some-model",
        "model_params_or_shape": '{"layers": 2}',
        "n_devices": "16",
        "parallelism": "tp=8",
        "chip": "H100-SXM",
        "phase": "train",
    }
    encoder = row | {
        "id": "some-encoder",
        "model_params_or_shape": '{"seq": 128, "hidden": 768, "ffn": 3072, "layers": 12, '
        '"heads": 12, "batch": 1, "duty": 0.5}',
        "workload": "encoder",
        "phase": "fwd",
    }
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, COLUMNS)
    writer.writeheader()
    writer.writerows([row, model, encoder])
    return [stream.getvalue().encode()]


def _collectives() -> list[bytes]:
    imports = _module("test_imports")
    return [imports.EXAMPLES["nccom-test"].encode(), *_samples("nccom")]


def _parquet() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x.parquet"
        write_parquet(frame_of(made_records()), path)
        return [path.read_bytes()]


def _ceiling() -> list[bytes]:
    ceiling = AttainedCeiling(
        id="c",
        time="2026-11-22T02:17:33Z",
        backend="cpu",
        device="Some Processor 9000",
        threads=2,
        torch="2.13.0",
        matmul={"fp32": AttainedMatmul(1e11, (512, 512, 512), "mm")},
        bandwidth=(
            AttainedBandwidth(2**20, 1e11, 1e11, None),
            AttainedBandwidth(2**28, 2e10, None, 2e10),
        ),
        dispatch_s=1e-6,
        clock_hz=3e9,
        machine="0123456789ab",
        caches=(CacheSize("L2", 2**20),),
    )
    return [ceiling.to_json().encode()]


def _neuron_tools() -> list[bytes]:
    listed = [{"neuron_device": 0, "nc_count": 2, "memory_size": 2**35, "neuron_processes": []}]
    monitored = {"neuron_runtime_data": [], "system_data": {"neuron_hw_counters": {"period": 1.0}}}
    made = [json.dumps(one).encode() for one in (listed, monitored)]
    return [*made, *_samples("neuron-ls"), *_samples("neuron-monitor")]


def _claims() -> list[bytes]:
    """The first of the catalog's claims, one of each kind, and one that says all it can."""
    text = (ROOT / "specs" / "claims.toml").read_text(encoding="utf-8")
    first = text.index("[[claim]]")
    entries = text[first:].split("[[claim]]")[1:]
    whole = """[[claim]]
id = "mine"
document = "document 9"
statement = "An H100 has 3.9 to 4.4 times the peak of a Trainium2 in eight bits."
subject = "H100"
baseline = "Trainium2"
level = "chip"
kind = "ratio"
quantity = ["peak", "memory_bandwidth"]
chips = ["h100_sxm"]
baseline_chips = ["trainium2"]
systems = ["p5.48xlarge"]
dtypes = ["fp8", "bf16"]
value = 3.9
high = 4.4
unit = "x"
digits = 2
comparator = "equal"
per = "chip"
factor = 2.0
since = 2020
needs = "time"
measure = ["matmul"]
metric = "speed"
"""
    some = "".join(f"[[claim]]{entry}" for entry in entries[::9])
    return [whole.encode(), some.encode(), f"[[claim]]{entries[0]}".encode()]


def _chip() -> list[bytes]:
    chips = [ROOT / "docs" / "examples" / "my_chip.toml"]
    own = [path.read_bytes() for path in chips]
    known = (ROOT / "specs" / "chips" / "trainium2.toml").read_bytes()
    return [*own, known.replace(b'id = "trainium2"', b'id = "input"')]


def _samples(name: str) -> list[bytes]:
    """None where the samples aren't here."""
    if not SAMPLES.is_dir():
        return []
    files = [path for path in sorted(SAMPLES.rglob("*")) if path.is_file() and name in path.name]
    contents = (path.read_bytes() for path in files)
    return [content for content in contents if len(content) < _LONGEST_SAMPLE]


_SEEDS = {
    "records": _records,
    "journal": _journal,
    "compare": _records,
    "show": _records,
    "page": _records,
    "import": _imports,
    "published": _published,
    "collectives": _collectives,
    "parquet": _parquet,
    "ceiling": _ceiling,
    "neuron-tools": _neuron_tools,
    "roofline": _records,
    "claims": _claims,
    "chip": _chip,
}
#: Targets whose files hold records.
OF_RECORDS = ("records", "compare", "show", "page", "roofline")


@cache
def seeds(target: str, *, measured: bool = False) -> tuple[bytes, ...]:
    """The contents of files for a target that are in order; ``measured`` adds records that are
    measured now, which takes a quarter of a minute."""
    found = _SEEDS[target]()
    if measured and target in OF_RECORDS:
        found += [_lines(measured_records()), _lines(measured_records()[:1])]
    return tuple(found)


def write_known(folder: Path) -> None:
    """``known.jsonl``: the run in order that a target holds its file against."""
    (folder / "known.jsonl").write_bytes(_lines(made_records()))
