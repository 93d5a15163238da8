"""The values that options take: the same for the command line and for pytest."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from trnbench.backends.threads import default_threads
from trnbench.bench import cli, selection
from trnbench.bench.errors import UsageError
from trnbench.bench.option_values import GIB, OptionTexts, read_options, read_positive, split_names
from trnbench.bench.options import RunOptions
from trnbench.bench.pytest_options import run_options

GOOD = [
    ((), {}),
    (("backend=cpu,cuda", "backend= cpu "), {"backends": ("cpu", "cuda")}),
    (("dtype=fp32,bf16", "mode=eager"), {"dtypes": ("fp32", "bf16"), "modes": ("eager",)}),
    (("load=json,math", "load=json"), {"load": ("json", "math")}),
    (("budget=1e-3", "timeout=90"), {"budget_s": 1e-3, "timeout_s": 90.0}),
    (("memory-limit=1.5",), {"memory_limit_bytes": 3 * GIB // 2}),
    (("memory-limit=1e-30",), {"memory_limit_bytes": 1}),
    (("threads=2", "processes=1"), {"threads": 2, "processes": 1}),
    (("out=a/b", "label=x,y", "preset=full"), {"label": "x,y", "preset": "full"}),
    (("cores=0-3", "lnc=1"), {"cores": "0-3", "lnc": 1}),
    (("cores=2, 3",), {"cores": "2,3"}),
    (("resume=",), {"resume": ""}),
    (("resume",), {"resume": ""}),
    (("resume=2026",), {"resume": "2026"}),
]
BAD = [
    *(f"{name}={value}" for name in ("processes", "threads") for value in ("0", "-1", "1.5", "")),
    *(
        f"{name}={value}"
        for name in ("budget", "timeout", "memory-limit")
        for value in ("0", "-1", "nan", "inf", "-inf", "much", "")
    ),
    *(f"cores={value}" for value in ("", "a", "-1", "9-1", "0,2", "0-", "1 2", "99999")),
    *(f"lnc={value}" for value in ("0", "3", "x", "")),
    "memory-limit=1e308",
    "out=file.txt",
    "preset=quik",
    "dtype=fp32,fp33",
    "mode=eagre",
]


class Stop(Exception):  # noqa: N818 - no error: the options are read
    pass


@pytest.fixture
def by_cli(monkeypatch, tmp_path):
    """The options that ``trnbench run`` reads of ``--NAME[=VALUE]``; nothing is measured."""
    found = []

    def keep(options):
        found.append(options)
        raise Stop

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(selection, "select", keep)

    def read(*arguments):
        result = CliRunner().invoke(cli.app, ["run", *(f"--{a}" for a in arguments)])
        if not isinstance(result.exception, Stop):
            raise result.exception
        return found.pop()

    return read


@pytest.fixture
def by_pytest(pytester):
    def read(*arguments):
        return run_options(pytester.parseconfig(*(f"--bench-{a}" for a in arguments)))

    return read


@pytest.mark.parametrize(("arguments", "expected"), GOOD, ids=[" ".join(a) for a, _ in GOOD])
def test_both_ways_read_the_same(by_cli, by_pytest, arguments, expected):
    typed, collected = by_cli(*arguments), by_pytest(*arguments)
    for options in (typed, collected):
        for field in set(RunOptions.__dataclass_fields__) - {"out"}:
            assert getattr(options, field) == expected.get(
                field, getattr(RunOptions(threads=default_threads()), field)
            )
    out = Path("a/b") if "out=a/b" in arguments else RunOptions(threads=default_threads()).out
    assert typed.out == out
    assert collected.out == Path.cwd() / out


@pytest.mark.parametrize("argument", BAD)
def test_both_ways_refuse_the_same_in_the_same_words(by_cli, by_pytest, argument):
    Path("file.txt").touch()
    with pytest.raises(UsageError) as typed:
        by_cli(argument)
    with pytest.raises(pytest.UsageError) as collected:
        by_pytest(argument)
    name = argument.partition("=")[0]
    assert str(typed.value).startswith(f"--{name}: ")
    assert str(collected.value).replace("--bench-", "--") == str(typed.value)


def test_resume_without_a_run_takes_no_option_for_one(by_cli):
    wanted = RunOptions(resume="", preset="full", threads=default_threads())
    assert by_cli("resume", "preset=full") == wanted


def test_names_are_split_and_kept_once():
    assert split_names(["b, a", "", "a,c,"]) == ("b", "a", "c")


def test_a_number_is_scaled_and_finite_after_it():
    assert read_positive("--size", "2.5", "GiB", GIB) == 2.5 * GIB
    with pytest.raises(UsageError, match="'1e300' given, a number of GiB above 0"):
        read_positive("--size", "1e300", "GiB", 1e10)


CHIP = Path(__file__).parents[2] / "docs" / "examples" / "my_chip.toml"


def test_a_chips_file_is_taken_from_where_the_user_stands(tmp_path):
    (tmp_path / "mine.toml").write_text(CHIP.read_text(encoding="utf-8"), encoding="utf-8")
    options = read_options(
        OptionTexts(chip_file=["mine.toml", str(tmp_path / "mine.toml")]), "--", tmp_path
    )

    assert options.chip_files == (tmp_path / "mine.toml",)
    assert options.catalog().chip("acme_one").name == "Acme One"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "acme_one"', 'id = "trainium2"', "an id that no other chip has"),
        ("value = 800,", 'value = "800",', "peak_dense.bf16"),
        ("[peak_dense]", "[peak_dense", "not valid TOML"),
    ],
)
def test_a_faulty_chips_file_is_named_before_anything_is_measured(tmp_path, old, new, message):
    text = CHIP.read_text(encoding="utf-8").replace(old, new)
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")

    with pytest.raises(UsageError, match=r"--bench-chip-file: .*mine\.toml") as caught:
        read_options(OptionTexts(chip_file=["mine.toml"]), "--bench-", tmp_path)
    assert message in str(caught.value)


def test_a_chips_file_that_isnt_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"--chip-file: none\.toml: no such file"):
        read_options(OptionTexts(chip_file=["none.toml"]), "--", tmp_path)
