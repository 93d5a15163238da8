"""The plugin's options: what a bad one says, what --help lists, and what plain runs pay."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "pandas", "scipy", "rich", "pydantic", "numpy", "typer", "psutil")

BAD = [
    (("--bench-preset=quik",), "unknown preset 'quik'"),
    (("--bench-dtype=fp33",), "Did you mean 'fp32'?"),
    (("--bench-mode=eagre",), "Did you mean 'eager'?"),
    (("--bench-backend=cudaa",), "unknown backend 'cudaa'"),
    (("--bench-processes=0",), "'0' given, a whole number of 1 or more wanted"),
    (("--bench-processes=two",), "'two' given"),
    (("--bench-budget=-1",), "'-1' given, a number of seconds above 0 wanted"),
    (("--bench-budget=nan",), "'nan' given"),
    (("--bench-timeout=0",), "--bench-timeout: '0' given"),
    (("--bench-threads=1.5",), "--bench-threads: '1.5' given"),
    (("--bench-memory-limit=much",), "a number of GiB above 0 wanted"),
    (("--bench-out=file.txt",), "'file.txt' is a file, a folder wanted"),
    (("--bench-load=no_such_module",), "module 'no_such_module' (--bench-load)"),
    (("--bench-load=broken_module",), "ZeroDivisionError"),
    (("--bench-resume=no-such-run", "trnbench::matmul"), "no-such-run"),
    (("-n2",), "pytest-xdist"),
    (("-n2", "trnbench::matmul"), "add -n0"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_options_are_one_message(pytester, arguments, words):
    pytester.makepyfile(broken_module="1 / 0")
    (pytester.path / "file.txt").touch()
    result = pytester.runpytest_subprocess("--benchmark", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = [line for line in result.errlines if line]
    assert len(errors) == 1
    assert errors[0].startswith("ERROR: ")
    assert words in errors[0]
    assert "Traceback" not in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()


def test_plain_tests_run_under_xdist(pytester):
    pytester.makepyfile("def test_one(): pass\ndef test_two(bench): assert bench(len, 'ab') == 2")
    result = pytester.runpytest_subprocess("-n2")
    result.assert_outcomes(passed=2)


def test_help_lists_every_option_and_the_exit_codes(pytester):
    text = " ".join(pytester.runpytest_subprocess("--help").stdout.str().split())
    for name in (
        "--benchmark ",
        "--bench-backend",
        "--bench-preset",
        "--bench-dtype",
        "--bench-mode",
        "--bench-processes",
        "--bench-budget",
        "--bench-label",
        "--bench-out",
        "--bench-resume",
        "--bench-with-tests",
        "--bench-threads",
        "--bench-timeout",
        "--bench-load",
        "--bench-memory-limit",
        "--bench-tf32",
    ):
        assert name in text
    for code in ("0 every case", "1 a case", "2 interrupted", "3 internal", "4 bad", "5 nothing"):
        assert code in text


def test_the_plugins_import_is_light():
    code = (
        "import sys, pytest; before = set(sys.modules); import trnbench.bench.plugin; "
        "print(*sorted(set(sys.modules) - before), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert "trnbench.bench.plugin" in modules
    assert [m for m in modules if not m.startswith("trnbench")] == []
    assert len(modules) <= 6


def test_a_plain_run_imports_nothing_heavy(pytester):
    pytester.makepyfile(
        f"""
        import sys

        def test_light(bench):
            assert bench(int, "3") == 3
            assert [name for name in {HEAVY!r} if name in sys.modules] == []
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:xdist", "-p", "no:benchmark")
    result.assert_outcomes(passed=1)
