"""The clock that a core really runs at, measured.

The figures of ``/proc/cpuinfo`` and of the time stamp counter are nominal: a core that says
2.0 GHz may well run at 3.5. So the clock is timed: a chain of instructions, each of which
needs the result of the one before, takes latency times count cycles, whatever else the core
could do at the same time. The machine code is written into executable memory here, so that no
compiler is needed.

Two chains are timed, and each is the other's witness. One is exclusive-or of two registers:
latency 1 on every x86-64 and AArch64 core. (Additions of constants won't do: Golden Cove
computes them at rename, at no latency.) The other is 64-bit multiplication: 3 cycles on Intel
since Nehalem and on AMD Zen, between 2 and 5 on other cores. So the ratio of the two must be
such a whole number; if it is not, the clock is unknown.
Source of the latencies: Agner Fog, Instruction tables, and uops.info (read 2026-11-22).
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

CHAIN_LENGTH = 128  # instructions in one turn of the loop: the loop's own two hide behind them
TARGET_NS = 200_000  # short enough to escape the scheduler, long against the cost of a call
RATIO_TOLERANCE = 0.03

Chain = Callable[[int], None]  # runs that many turns of a loop of CHAIN_LENGTH instructions


@dataclass(frozen=True, slots=True)
class _Instructions:
    """How one architecture writes the two chains, and the ratios that its cores may show."""

    logic: bytes
    multiply: bytes
    latency_ratios: tuple[int, ...]
    wrap: Callable[[bytes], bytes]


def measure_clock_hz(repeats: int = 20) -> tuple[float | None, str]:
    """Cycles per second of the core this runs on, now; and how it was found or why not.

    The best of ``repeats`` runs of about 0.2 ms of each chain: an interrupted run is only ever
    slower. Where the chains disagree, up to four times as many are tried. A core that lowers
    its clock under wide vector instructions may run slower in a matmul than here.
    """
    architecture = platform.machine()
    instructions = _ARCHITECTURES.get(architecture)
    if instructions is None:
        known = ", ".join(_ARCHITECTURES)
        return None, f"no timed chain is written for {architecture} (there is one for {known})"
    try:
        with (
            _Executable(instructions.wrap(instructions.logic)) as logic,
            _Executable(instructions.wrap(instructions.multiply)) as multiply,
        ):
            return _compare_chains(logic, multiply, instructions.latency_ratios, repeats)
    except OSError as error:
        return None, f"the system gives no executable memory ({error.strerror or error})"


def _compare_chains(
    logic: Chain, multiply: Chain, latency_ratios: tuple[int, ...], repeats: int
) -> tuple[float | None, str]:
    logic_turns = _turns_for_target(logic)
    multiply_turns = _turns_for_target(multiply)
    logic_ns = multiply_ns = float("inf")
    ratio = 0.0
    for done in range(1, 4 * repeats + 1):
        # In turn, so that both see the same clock where it moves.
        logic_ns = min(logic_ns, _run_ns(logic, logic_turns) / logic_turns)
        multiply_ns = min(multiply_ns, _run_ns(multiply, multiply_turns) / multiply_turns)
        ratio = multiply_ns / logic_ns
        cycles = min(latency_ratios, key=lambda whole: abs(ratio / whole - 1))
        if done >= repeats and abs(ratio / cycles - 1) <= RATIO_TOLERANCE:
            # Of two agreeing figures the faster one was disturbed less.
            clock_hz = CHAIN_LENGTH * 1e9 / min(logic_ns, multiply_ns / cycles)
            return clock_hz, (
                f"dependent exclusive-ors (1 cycle) and multiplications ({cycles} cycles), "
                f"best of {done} each, ratio {ratio:.2f}"
            )
    return None, (
        f"the two timed chains disagree (ratio {ratio:.2f}, wanted one of "
        f"{', '.join(map(str, latency_ratios))}): the machine was disturbed"
    )


def _turns_for_target(chain: Chain) -> int:
    turns = 64
    while (elapsed_ns := _run_ns(chain, turns)) < TARGET_NS // 2:
        turns *= 2
    return max(1, turns * TARGET_NS // elapsed_ns)


def _run_ns(chain: Chain, turns: int) -> int:
    start_ns = time.perf_counter_ns()
    chain(turns)
    return time.perf_counter_ns() - start_ns


def _wrap_x86_64(instruction: bytes) -> bytes:
    """System V: the count arrives in rdi; rax carries the chain, rcx is the other operand."""
    head = bytes.fromhex("b805000000 b903000000")  # mov eax, 5; mov ecx, 3
    body = instruction * CHAIN_LENGTH + bytes.fromhex("48ffcf")  # dec rdi
    jump = bytes.fromhex("0f85") + struct.pack("<i", -(len(body) + 6))  # jnz to the body
    return head + body + jump + bytes.fromhex("c3")  # ret


def _wrap_aarch64(instruction: bytes) -> bytes:
    """AAPCS64: the count arrives in x0; x2 carries the chain, x1 is the other operand."""
    head = struct.pack("<2I", 0xD28000A2, 0xD2800061)  # mov x2, 5; mov x1, 3
    body = instruction * CHAIN_LENGTH + struct.pack("<I", 0xF1000400)  # subs x0, x0, 1
    offset = -(len(body) // 4) & 0x7FFFF
    tail = struct.pack("<2I", 0x54000001 | offset << 5, 0xD65F03C0)  # b.ne to the body; ret
    return head + body + tail


_X86_64 = _Instructions(
    logic=bytes.fromhex("4831c8"),  # xor rax, rcx
    multiply=bytes.fromhex("480fafc0"),  # imul rax, rax
    latency_ratios=(3, 4, 5),
    wrap=_wrap_x86_64,
)
_AARCH64 = _Instructions(
    logic=struct.pack("<I", 0xCA010042),  # eor x2, x2, x1
    multiply=struct.pack("<I", 0x9B027C42),  # mul x2, x2, x2
    latency_ratios=(2, 3, 4, 5),
    wrap=_wrap_aarch64,
)
_ARCHITECTURES = {"x86_64": _X86_64, "aarch64": _AARCH64, "arm64": _AARCH64}


class _Executable:
    """A page that is written first and made executable then: never both at once, as hardened
    kernels demand, and so that Linux on Arm brings the instruction cache up to date."""

    def __init__(self, code: bytes) -> None:
        self._page = mmap.mmap(
            -1,
            len(code),
            flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
            prot=mmap.PROT_READ | mmap.PROT_WRITE,
        )
        self._page.write(code)

    def __enter__(self) -> Chain:
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        if protect(address, len(self._page), mmap.PROT_READ | mmap.PROT_EXEC) != 0:
            raise OSError(ctypes.get_errno(), "mprotect refused")
        return ctypes.CFUNCTYPE(None, ctypes.c_uint64)(address)

    def __exit__(self, *_: object) -> None:
        self._page.close()
