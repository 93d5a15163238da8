"""The table of what failures of the Neuron stacks look like: each row by words of its own tool."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from trnbench.backends import neuron_errors
from trnbench.backends.neuron_errors import explain
from trnbench.results.record import Status

SAMPLES = Path(__file__).parents[3] / "shared" / "neuron_samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.exists(), reason="the outputs of real tools lie beside the project only"
)
TABLE = tomllib.loads(neuron_errors._TABLE.read_text(encoding="utf-8"))
STAMP = "2026-Nov-23 10:11:12.345678  4242:4250  ERROR"

#: What a stack says (in its own format; the times, numbers and shapes are ours), the name that it
#: goes by, and the status.
SAID = [
    (
        (
            f"{STAMP}  TDRV:exec_request_process_errors  (FATAL-RT-UNDEFINED-STATE) Uncorrectable HBM "
            "memory error is detected. Execution results may be invalid. Please terminate"
        ),
        "HBM uncorrectable error",
        "RUNTIME_ERROR",
    ),
    (
        (
            "(FATAL-RT-UNDEFINED-STATE) encountered uncorrectable memory error on Neuron Device 3, "
            "execution results may be invalid."
        ),
        "HBM uncorrectable error",
        "RUNTIME_ERROR",
    ),
    (
        (
            "(FATAL-RT-UNDEFINED-STATE) [ND 0][NC 1] Uncorrectable memory error is detected, "
            "metadata: 0x16. Please terminate or stop/start this instance"
        ),
        "SRAM uncorrectable error",
        "RUNTIME_ERROR",
    ),
    (
        "NEURON_HW_ERR=SRAM_UNCORRECTABLE_ERROR nd-id=0 nc-id=0 action=TERMINATE_INSTANCE",
        "SRAM uncorrectable error",
        "RUNTIME_ERROR",
    ),
    ("[MLA 0][NC 0] DMA TX engine 3 is in an abort state", "DMA abort", "RUNTIME_ERROR"),
    ("[MLA 0][NC 0] DMA RX engine 0 is in an abort state", "DMA abort", "RUNTIME_ERROR"),
    (
        (
            f"{STAMP}   NRT:nrt_allocate_neuron_cores   Logical Neuron Core(s) not available - "
            "Requested:4 Available:0 Logical Core size:2 (cores busy, ret=-16)"
        ),
        "cores not available",
        "BUSY_DEVICE",
    ),
    (
        (
            f"{STAMP}   NRT:nrt_allocate_neuron_cores   NeuronCore(s) not available - "
            "Requested:nc1-nc1 Available:0"
        ),
        "cores not available",
        "BUSY_DEVICE",
    ),
    (
        (
            "RuntimeError: The PyTorch Neuron Runtime could not be initialized.\n"
            f"{STAMP}   NRT:nrt_allocate_neuron_cores   Logical Neuron Core(s) not available - "
            "Requested:lnc0-lnc0 Available:0"
        ),
        "cores not available",
        "BUSY_DEVICE",
    ),
    (
        'error message="NRT EXECUTION FAILED: x, Neuron core busy/locked by another model/process"',
        "NC busy",
        "BUSY_DEVICE",
    ),
    (
        f"{STAMP}   NRT:nrt_allocate_neuron_cores   Neuron cores are not contiguous",
        "cores not contiguous",
        "RUNTIME_ERROR",
    ),
    ("Logical Neuron cores are not contiguous", "cores not contiguous", "RUNTIME_ERROR"),
    (f"{STAMP}  TDRV:tdrv_init_mla_phase1  Could not open the nd1", "no such device", None),
    (f"{STAMP}  TDRV:db_vtpb_get_mla_and_tpb  Could not find VNC id 9", "no such device", None),
    ("Cannot start process with LNC Size of 2. Use NEURON_RT_VISIBLE_CORES=0-1", "LNC size", None),
    (
        "`NEURON_RT_NUM_CORES` must request one core, or the whole device (multiple of 8)",
        "LNC size",
        None,
    ),
    (
        (
            f"{STAMP}   NRT:nrt_init      Unable to determine Neuron Driver version. Please check "
            "aws-neuron-dkms package is installed."
        ),
        "no driver",
        None,
    ),
    ("Cannot find Neuron devices. This runs on inf2 or trn1.", "no driver", None),
    ("Neuron DKMS Driver is not running! Please read the guide", "no driver", None),
    (
        (
            f"{STAMP}   NRT:nrt_init      This runtime requires Neuron Driver version 2.27 or greater. "
            "Please upgrade aws-neuron-dkms package."
        ),
        "driver too old",
        None,
    ),
    (
        "Neuron Runtime 2.x requires Neuron driver(aws-neuron-dkms) version 2.1 or above.",
        "driver too old",
        None,
    ),
    (
        f"{STAMP}   HAL:aws_hal_tpb_pooling_write_profile   failed programming the engine",
        "driver too old",
        None,
    ),
    (
        (
            "This Neuron Runtime (compatibility id: 11) is not compatible with the installed "
            "aws-neuron-dkms package"
        ),
        "driver and runtime differ",
        None,
    ),
    (
        (
            "nd0 nc0 Timestamp program stop timeout (1000 ms)\nTDRV not initialized\n"
            "Failed to initialize devices, error:5"
        ),
        "device left running",
        None,
    ),
    (
        (
            f"{STAMP}  TDRV:log_dev_mem   Failed to allocate 4.000GB (alignment: none, usage: tensors) "
            "on ND 0:NC 4"
        ),
        "device memory",
        "OUT_OF_MEMORY",
    ),
    (
        (
            f"{STAMP} TDRV:log_dev_mem Failed to allocate 768.000B (usage: tensors) on ND 0:NC 0, "
            "current utilization:"
        ),
        "device memory",
        "OUT_OF_MEMORY",
    ),
    (
        (
            f"{STAMP}  TDRV:dmem_alloc_internal  Failed to allocate DEVICE memory (14155776 bytes): "
            "memory allocation failed (ret=-12)"
        ),
        "device memory",
        "OUT_OF_MEMORY",
    ),
    (
        (
            "kernel: [123.4] neuron:mc_alloc: device mempool [0:0] total 1073741568 occupied 960539030 "
            "needed 1272 available 768"
        ),
        "device memory",
        "OUT_OF_MEMORY",
    ),
    (
        (
            "RuntimeError: Failed to allocate Neuron tensor of size 8589934592 bytes (out of memory). "
            "Status: 4"
        ),
        "device memory",
        "OUT_OF_MEMORY",
    ),
    (
        (
            "[ERROR] [NCC_EOOM001] Maximum peak HBM usage of 32.00GB exceeds HBM limit of 24.00GB for "
            "Trn2."
        ),
        "NCC_EOOM001",
        "OUT_OF_MEMORY",
    ),
    ("[NCC_EOOM002] The combined memory needed", "NCC_EOOM002", "OUT_OF_MEMORY"),
    (
        (
            "[NCC_EVRF009] Size of total input and output tensors exceeds HBM limit of Trainium2. "
            "Needed 33,771,172,352 bytes (31 GB) vs. available 25,769,803,776 bytes (24 GB)."
        ),
        "NCC_EVRF009",
        "OUT_OF_MEMORY",
    ),
    ("[ERROR] [NCC_EXSP001] The combined memory", "NCC_EXSP001", "OUT_OF_MEMORY"),
    (
        (
            "2026-11-23T10:11:12Z [F137] neuronx-cc was forcibly killed - This most commonly occurs "
            "due to insufficient system memory."
        ),
        "F137",
        "OUT_OF_MEMORY",
    ),
    (
        (
            "[ERROR] [NCC_EVRF004] Complex data types are not supported but found to be used with "
            "operator multiply."
        ),
        "NCC_EVRF004",
        "UNSUPPORTED",
    ),
    (
        "RuntimeError: aten::_fft_c2r: complex dtypes are not supported natively on Neuron",
        "NCC_EVRF004",
        "UNSUPPORTED",
    ),
    ("[NCC_ESPP004] f64 dtype is not supported.", "NCC_ESPP004", "UNSUPPORTED"),
    ("[NCC_ESPP047] Data type F8E4M3FN is not supported", "NCC_ESPP047", "UNSUPPORTED"),
    ("[NCC_EVRF005] Unsupported F8E4M3FNUZ data type", "NCC_EVRF005", "UNSUPPORTED"),
    (
        "[NCC_EVRF051] Data type F8E4M3FN is not supported on TRN1/TRN2.",
        "NCC_EVRF051",
        "UNSUPPORTED",
    ),
    ("[NCC_EVRF052] Data type F8E4M3 is not supported", "NCC_EVRF052", "UNSUPPORTED"),
    ("nc_matmul does not support stationary.dtype=int8", "nc_matmul dtype", "UNSUPPORTED"),
    (
        (
            "[NCC_EVRF035] Opcode (dot) does not support 32-bit or 64-bit integer operands on this "
            "target."
        ),
        "NCC_EVRF035",
        "UNSUPPORTED",
    ),
    ("[NCC_EVRF060] Scatter does not support integer operands", "NCC_EVRF060", "UNSUPPORTED"),
    ("[NCC_EVRF061] AllReduce performs its reduction", "NCC_EVRF061", "UNSUPPORTED"),
    ("[NCC_EVRF062] Operation does not support 64-bit", "NCC_EVRF062", "UNSUPPORTED"),
    ("[NCC_EVRF063] ReduceScatter performs its", "NCC_EVRF063", "UNSUPPORTED"),
    (
        (
            "[NCC_EVRF001] Operator topk is not supported. Locate the operator in source or libraries "
            "and replace it"
        ),
        "NCC_EVRF001",
        "UNSUPPORTED",
    ),
    ("[NCC_EUOC002] An unsupported operator was used.", "NCC_EUOC002", "UNSUPPORTED"),
    (
        (
            "RuntimeError: RunNeuronCCImpl: [ERROR] [NCC_EVRF029]\n  Operation sort is not supported "
            "on trn2."
        ),
        "NCC_EVRF029",
        "UNSUPPORTED",
    ),
    (
        "[NCC_EMOD025] Dynamic shape is not supported: instruction 'add.1' has shape 'f32[<=8]'",
        "NCC_EMOD025",
        "COMPILE_ERROR",
    ),
    (
        (
            "[NCC_EBVF030] Instructions generated by compiler 19633667 exceeds the typical limit of "
            "15000000"
        ),
        "too many instructions",
        "COMPILE_ERROR",
    ),
    (
        "[NCC_EVRF007] The number of instructions generated",
        "too many instructions",
        "COMPILE_ERROR",
    ),
    (
        "[NCC_EXTP004] The number of instructions generated",
        "too many instructions",
        "COMPILE_ERROR",
    ),
    (
        "Instructions generated by compiler 4194304 exceeds the typical limit of 150000",
        "too many instructions",
        "COMPILE_ERROR",
    ),
    ("[NCC_EARG001] Unsupported Logical Neuron Core", "NCC_EARG001", "COMPILE_ERROR"),
    ("sh: 1: neuronx-cc: command not found", "compiler missing", "COMPILE_ERROR"),
    (
        "FileNotFoundError: [Errno 2] No such file or directory: 'neuronx-cc'",
        "compiler missing",
        "COMPILE_ERROR",
    ),
    ("FileNotFoundError: 'neuronx-cc'", "compiler missing", "COMPILE_ERROR"),
    (
        (
            "INFO ||NCC_WRAPPER||: Got a cached failed neff at /var/tmp/neuron-compile-cache/"
            "neuronxcc-2.26.1/MODULE_1+a/model.neff. Will skip compilation, please set "
            "--retry_failed_compilation for recompilation."
        ),
        "cached failed neff",
        "COMPILE_ERROR",
    ),
    (
        "[F139] neuronx-cc terminated abnormally - Please open a support ticket",
        "compiler ended abnormally",
        "COMPILE_ERROR",
    ),
    (
        "NEFF version mismatch supported: 1.1 received: 2.0",
        "NEFF version mismatch",
        "RUNTIME_ERROR",
    ),
    (
        (
            f"{STAMP}  TDRV:translate_one_pseudo_instr_v2  Unsupported hardware operator code 214 "
            "found in neff."
        ),
        "NEFF version mismatch",
        "RUNTIME_ERROR",
    ),
    (
        "nrtd[123]: Error notifications found on NC 0 INFER_ERROR_SUBTYPE_NUMERICAL",
        "numerical error",
        "NUMERIC_MISMATCH",
    ),
    (
        'error message="NRT EXECUTION FAILED: Execution completed with numerical errors (NaN)"',
        "numerical error",
        "NUMERIC_MISMATCH",
    ),
    (
        (
            f"{STAMP}  TDRV:generate_custom_notification_msg  nd0:nc0:h_model.id1107: Received "
            "notification generated at runtime: failed to run embedding table update, due to "
            "out-of-bound access."
        ),
        "out of bounds",
        "RUNTIME_ERROR",
    ),
    (
        (
            'error message="NRT EXECUTION FAILED: one or more indirect memcopies and/or embedding '
            'updates are out of bound"'
        ),
        "out of bounds",
        "RUNTIME_ERROR",
    ),
    (
        (
            "Suspected hang between the end of collectives operation 3 and the start of collectives "
            "operation 4 (out of 9 total operations)"
        ),
        "hang in collectives",
        "TIMEOUT",
    ),
    (
        (
            f"{STAMP}   NRT:nrt_infodump  Failure: NRT_EXEC_SW_NQ_OVERFLOW in nrt_execute()\n"
            f"{STAMP}  TDRV:exec_request_process_errors  [ND 1][NC 0] execution timeout (30000 ms) on "
            "model a.neff, potentially caused by DGE notifications enabled."
        ),
        "NRT_EXEC_SW_NQ_OVERFLOW",
        "RUNTIME_ERROR",
    ),
    (
        (
            "(FATAL-RT-UNDEFINED-STATE) missing collectives status on Neuron Device 0 NC 0, model 0 - "
            "suspected hang in collectives operation 0 out of 100"
        ),
        "hang in collectives",
        "TIMEOUT",
    ),
    (
        "missing collectives status on model m. Suspected hang in waiting for barrier",
        "hang in collectives",
        "TIMEOUT",
    ),
    (
        (
            "(FATAL-RT-UNDEFINED-STATE) execution timeout (30000 ms) on Neuron Device 0 NC 0, model "
            "a.neff, waiting for execution completion notification"
        ),
        "execution timeout",
        "TIMEOUT",
    ),
    (
        (
            "RuntimeError: Expected one of cpu, cuda, ipu, xpu, mkldnn, meta, hpu, mtia, privateuseone "
            "device type at start of device string: neuron"
        ),
        "no device neuron",
        None,
    ),
    ("ModuleNotFoundError: No module named 'libneuronxla'", "libneuronxla missing", None),
    (
        "FileNotFoundError: [Errno 2] No such file or directory: 'libneuronpjrt-path'",
        "libneuronxla missing",
        None,
    ),
    (
        "ImportError: libnrt.so.1: cannot open shared object file: No such file or directory",
        "libnrt missing",
        None,
    ),
    (
        "OSError: libnccom.so.2: cannot open shared object file: No such file or directory",
        "libnccom missing",
        None,
    ),
    (
        (
            "NCCL init error: Error opening libnccom.so, cannot use collective operations! Please set "
            "LD_LIBRARY_PATH"
        ),
        "libnccom missing",
        None,
    ),
    (
        "ImportError: /lib64/libm.so.6: version `GLIBC_2.35' not found (required by libtorch.so)",
        "GLIBC too old",
        None,
    ),
    (
        "RuntimeError: module compiled against API version 0xf but this version of numpy is 0xe",
        "NumPy mismatch",
        None,
    ),
    ("Unable to run multi-instance workload.  Ofi plugin is not installed", "EFA missing", None),
    ("OFI plugin initNet() failed is EFA enabled?", "EFA missing", None),
    (
        "AssertionError: Neuron runtime should not be initialized before the init_process_group.",
        "runtime started too early",
        None,
    ),
    (
        (
            "RuntimeError: Cannot re-initialize Neuron runtime in forked subprocess. To use Neuron "
            "with multiprocessing, use the 'spawn' start method"
        ),
        "forked after start",
        None,
    ),
    (
        (
            "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n"
            '  File "/venv/lib/torch/jit/_trace.py", line 1 in trace\n'
            '  File "/venv/lib/torch_neuronx/xla_impl/trace.py", line 2 in generate_hlo\n'
        ),
        "crash in trace",
        "CRASHED",
    ),
    ("3 errors found - test failed", "nccom-test failed", "NUMERIC_MISMATCH"),
    ("1 error found - test failed", "nccom-test failed", "NUMERIC_MISMATCH"),
    ("Failure running neuron-bench - log file /tmp/a.log", "neuron-bench failed", None),
    ("RuntimeError: Failed to initialize Neuron Runtime: status code 1", "nrt_init", None),
    ("RuntimeError: The PyTorch Neuron Runtime could not be initialized", "nrt_init", None),
    (
        "[NCC_IBVF027] Instruction can only read one of its non-scalar inputs from PSUM",
        "NCC_IBVF027",
        "COMPILE_ERROR",
    ),
    (
        (
            "RunNeuronCCImpl: error condition error != 0: [INTERNAL_ERROR] [NCC_ISFV902] "
            "SFKVectorizer error"
        ),
        "NCC_ISFV902",
        "COMPILE_ERROR",
    ),
    ("[NCC_EVRF039] QuantizeMX custom call block_size must be 32.", "NCC_EVRF039", "COMPILE_ERROR"),
    (
        (
            "Non-OK-status: INTERNAL: RunNeuronCCImpl: error condition error != 0: <class "
            "'subprocess.CalledProcessError'>: Command '' died with <Signals.SIGHUP: 1>."
        ),
        "compilation failed",
        "COMPILE_ERROR",
    ),
    (
        (
            "RuntimeError: Compilation error occurred on Neuron for operation=aten::add.Tensor;\n"
            'error message="COMPILATION FAILED: Memory Location: {add.3.156_set}@SB0,0,0,0,0,0"'
        ),
        "compilation failed",
        "COMPILE_ERROR",
    ),
    (
        "ERROR ||NEURON_CC_WRAPPER||: Compilation failed for /tmp/model.hlo_module.pb",
        "compilation failed",
        "COMPILE_ERROR",
    ),
    (
        (
            "NRT Execution error occurred on Neuron for operation=aten::mm\n"
            'error message="NRT EXECUTION FAILED: something new"'
        ),
        "execution failed",
        "RUNTIME_ERROR",
    ),
]


def row_of(text):
    """The row of the table that explains a text."""
    rows = neuron_errors._read_table()
    return next(index for index, row in enumerate(rows) if row.pattern.search(text))


@pytest.mark.parametrize(("text", "name", "status"), SAID)
@pytest.mark.parametrize("around", ["{}", "step 3 of 7\n{}\nleft with exit status 1"])
def test_the_words_of_a_stack_are_understood(text, name, status, around):
    found = explain(around.format(text))

    assert found.name == name
    assert found.status == (status or "RUNTIME_ERROR")


STATUS_FORMS = [
    "RuntimeError: NRT Error {name}({code}): Failed to load model",
    "NrtError: NRT_FAILURE({code})",
    "or ``{name} ({code})`` return code",
    "Failure: {name} in nrt_tensor_allocate",
    "terminate called after throwing\n  what():  nrt_execute status={code}",
    "nrt_load() failed with status: {code}",
    "ERROR  NMGR:dlr_infer   Inference completed with err: {code}. mode->h_nn=1001, start_nc=0",
    "ERROR  NMGR:kmgr_load_nn_post_metrics  Failed to load NN: xxxxxxx, err: {code}",
    'NRT EXECUTION FAILED: lazy::AllocBind: no pending ops on stream, {words}"',
    (
        "NRT Execution error occurred on Neuron for operation=aten::mm\n"
        'error message="NRT EXECUTION FAILED: Async execution error: seq_id=7, {words}"'
    ),
]
#: Of what a more specific row explains, with its own name.
RENAMED = {
    1003: "numerical error",
    1005: "NC busy",
    1006: "out of bounds",
}


@pytest.mark.parametrize("row", TABLE["status"], ids=lambda row: row["name"])
@pytest.mark.parametrize("form", STATUS_FORMS)
def test_every_status_of_the_runtime_is_understood_however_it_is_said(row, form):
    found = explain(form.format(**row))

    assert found.name in {row["name"], RENAMED.get(row["code"])}
    assert found.status == row["status"]


def test_the_runtimes_status_codes_are_all_there():
    """NRT_STATUS of the documentation of 2.32, less success."""
    codes = [row["code"] for row in TABLE["status"]]

    assert sorted(codes) == [
        *range(1, 8),
        *range(9, 12),
        *range(13, 16),
        101,
        *range(1002, 1007),
        1100,
        *range(1200, 1207),
    ]


def test_every_row_is_reached_by_words_of_its_own():
    said = [text for text, _, _ in SAID]
    said += [form.format(**row) for row in TABLE["status"] for form in STATUS_FORMS]
    reached = {row_of(text) for text in said}

    assert reached == set(range(len(neuron_errors._read_table())))


def test_every_alternative_of_every_pattern_is_reached():
    """A part of a pattern that nothing reaches may as well be wrong."""
    unreached = []
    for row in [*TABLE["failure"], *TABLE["general"]]:
        depth, parts = 0, [""]
        for letter in row["pattern"]:
            depth += (letter == "(") - (letter == ")")
            if letter == "|" and depth == 0 and not parts[-1].endswith("\\"):
                parts.append("")
            else:
                parts[-1] += letter
        if any(part.count("[") != part.count("]") for part in parts):
            parts = [row["pattern"]]
        unreached += [
            part for part in parts if not any(re.search(part, text) for text, _, _ in SAID)
        ]

    assert unreached == []


@pytest.mark.parametrize("kind", ["failure", "status", "general"])
def test_rows_are_complete_and_their_statuses_exist(kind):
    assert TABLE[kind]
    for row in TABLE[kind]:
        assert row["status"] in set(Status)
        assert row["status"] != "OK"
        assert row["cause"]
        assert row["mend"]
        assert not row["cause"].endswith(".")


@pytest.mark.parametrize("code", [6, 101, 1201, 1202, 1203, 1205, 1206])
def test_broken_hardware_is_said_to_be_broken(code):
    (row,) = (row for row in TABLE["status"] if row["code"] == code)

    assert "this host unhealthy" in explain(f"nrt_execute status={code}").mend
    assert row["status"] == "RUNTIME_ERROR"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        # The cause, not the time-out that it ends in.
        (
            (
                "Uncorrectable HBM memory error is detected.\nexecution timeout (30000 ms) on model a\n"
                "Failure: NRT_TIMEOUT in nrt_execute()"
            ),
            "HBM uncorrectable error",
        ),
        ("NRT_TIMEOUT (5) or NRT_EXEC_HW_ERR_HBM_UE (1201)", "NRT_EXEC_HW_ERR_HBM_UE"),
        # The memory, not the loading that it stopped.
        (
            (
                "Failed to allocate 1.000GB (alignment: 4.000MB, usage: shared scratchpad) on ND 0:NC 0\n"
                "Failed to load NN: m, err: 4\nRuntimeError: NRT EXECUTION FAILED: Failed to load"
            ),
            "device memory",
        ),
        # The code, not the cache that kept it.
        ("Got a cached failed neff at a.neff\n[NCC_EOOM001] Maximum peak HBM usage", "NCC_EOOM001"),
        ("Got a cached failed neff at a.neff\n[NCC_IBVF027] error", "cached failed neff"),
        # The code, not the wrapper's own word.
        (
            (
                "Compilation error occurred on Neuron for operation=torch_compile; error message="
                '"COMPILATION FAILED: [NCC_EVRF001] Operator topk is not supported"'
            ),
            "NCC_EVRF001",
        ),
        (
            "NRT_FAILURE in nrt_init()\nNeuronCore(s) not available - Requested:2",
            "cores not available",
        ),
    ],
)
def test_of_several_the_one_that_says_most_wins(text, name):
    assert explain(text).name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ValueError: NRT is not a name that this workload knows",
        "ValueError: neuron count must be a multiple of 4",
        "ValueError: execution timeout of 5 s must be positive",
        "ValueError: unsupported dtype int8",
        "ValueError: status=4 is no status, and 5 neither",
        "RuntimeError: shape '[2, 3]' is invalid for input of size 7",
        "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB",
        "RuntimeError: Failed to allocate 4.000GB on the host",
        "RuntimeError: Expected one of cpu, cuda, xla device type at start of device string: neutron",
        "ModuleNotFoundError: No module named 'neuron'",
        "ModuleNotFoundError: No module named 'libneuron'",
        "FileNotFoundError: [Errno 2] No such file or directory: 'neuron.toml'",
        "0 errors found - test passed",
        "Compiler status PASS",
        "[INFO]: Compilation Successfully Completed for model.MODULE_7+e3.hlo_module.pb",
        "INFO ||NCC_WRAPPER||: Using a cached neff at /var/tmp/neuron-compile-cache/model.neff",
        "nrt_execute status=0",
        "nrt_execute status=40",
        "Inference completed with err: 0.",
        "NRT_SUCCESS",
        "MY_NRT_TIMEOUTS and XNRT_FAILURE",
        "NCC_wrapper started; NCC_EV is short",
        "Unable to determine the version of the driver",
        "Segmentation fault",
        "version GLIBC_2.35 is here",
        "Timeout waiting for RX (waited 120 sec) - retrying",
        (
            "Traceback (most recent call last):\n"
            '  File "/home/a/NRT_TIMEOUT/neuron_NRT_FAILURE.py", line 3, in NRT_RESOURCE\n'
            "    if status == NRT_RESOURCE: raise ValueError('Got a cached failed neff')\n"
            "       ~~~~~~~^^^^^^^^^^^^^^^\n"
            '  File "<string>", line 1, in <module>\n'
            '  File "/x/torch_neuronx/xla_impl/trace.py", line 2, in generate\n'
            "    NRT_TIMEOUT = 5  # NCC_EOOM001\n"
            "ValueError: three were given, and four were wanted"
        ),
        (
            "  + Exception Group Traceback (most recent call last):\n"
            '  |   File "/x/y.py", line 3, in f\n'
            "  |     check(NRT_TIMEOUT)\n"
            "  | ValueError: no"
        ),
    ],
)
def test_what_is_no_word_of_the_stack_is_not_explained(text):
    assert explain(text) is None


def test_the_last_line_of_a_traceback_still_counts():
    text = (
        "Traceback (most recent call last):\n"
        '  File "/x/y.py", line 3, in f\n'
        "    run()\n"
        "RuntimeError: NRT Error NRT_RESOURCE(4): no"
    )

    assert explain(text).status == "OUT_OF_MEMORY"


def test_the_line_that_gave_it_away_is_told():
    text = (
        "Traceback (most recent call last):\n"
        '  File "/x/y.py", line 3, in f\n'
        "    run()\n"
        "RuntimeError: first\n"
        "   NRT EXECUTION FAILED on nd0\n"
        "Stuck in collectives op\n"
        "last words"
    )

    assert explain(text).line == "NRT EXECUTION FAILED on nd0"
    assert explain("a\n[NCC_EOOM001] needs 38 GB\r\nb").line == "[NCC_EOOM001] needs 38 GB"
    assert explain("NRT_TIMEOUT").line == "NRT_TIMEOUT"


#: Of a file of messages from real machines: the start of the line -> name, or None where the
#: message is no failure of a stack that runs a workload.
REAL = {
    "neuron-profile: NTFF version": None,
    "neuron-profile view: $HOME": None,
    "neuron-profile capture: ERROR   NRT:": "cores not available",
    "neuronx-cc: [NCC_ESPP047]": "NCC_ESPP047",
    "neuronx-cc: NCC_EOOM001": "NCC_EOOM001",
    "neuronx-cc: Instructions": "too many instructions",
    "nki: nc_matmul": "nc_matmul dtype",
    "nki: [NCC_IBVF027]": "NCC_IBVF027",
    "torch_neuronx import:": "libneuronxla missing",
    "neuron-monitor (runtime": None,
    "neuron-ls: no device": None,
    "nccom-test: error:": None,
    "neuron-bench exec:": None,
    "compile log: 2026-09-08": None,
    "compile log: Compiler status PASS": None,
}


@needs_samples
def test_messages_from_real_machines():
    lines = (SAMPLES / "error_strings.txt").read_text(encoding="utf-8").splitlines()
    found = {}
    for line in lines:
        (start,) = (start for start in REAL if line.startswith(start))
        known = explain(line)
        found[start] = known and known.name

    assert found == REAL


@needs_samples
def test_no_other_real_file_is_a_failure():
    paths = [path for path in sorted(SAMPLES.iterdir()) if path.suffix != ".md"]
    paths = [path for path in paths if path.name != "error_strings.txt"]
    assert len(paths) >= 18

    for path in paths:
        assert explain(path.read_text(encoding="utf-8")) is None, path.name
