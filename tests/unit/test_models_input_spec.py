"""Inputs in one word each: what is read, how it is written again, and what is refused why."""

from __future__ import annotations

import pytest

from trnbench.models.input_spec import FLOATING, INTEGERS, InputSpec, read_input, read_inputs


@pytest.mark.parametrize(
    ("given", "spec"),
    [
        ("8", InputSpec((8,))),
        ("8x128", InputSpec((8, 128))),
        ("8x3x224x224:fp32", InputSpec((8, 3, 224, 224), "fp32")),
        ("2x4:bf16", InputSpec((2, 4), "bf16")),
        ("1x512:int64<32000", InputSpec((1, 512), "int64", 32000)),
        ("1x512:bool", InputSpec((1, 512), "bool")),
        ("mask=1x512:bool", InputSpec((1, 512), "bool", name="mask")),
        ("_ids2=4:uint8<256", InputSpec((4,), "uint8", 256, "_ids2")),
    ],
)
def test_a_spec_is_read_and_written_as_it_was(given, spec):
    assert read_input(given) == spec
    assert str(spec) == given


@pytest.mark.parametrize(
    ("given", "spelling"),
    [
        ("1x512<100", "1x512:int64<100"),
        (" 8 x 128 : fp16 ", "8x128:fp16"),
        ("x = 08x2", "x=8x2"),
    ],
)
def test_equal_inputs_have_one_spelling(given, spelling):
    assert str(read_input(given)) == spelling
    assert read_input(spelling) == read_input(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "wanted SHAPE, SHAPE:DTYPE or SHAPE:DTYPE<BOUND"),
        ("8x", "wanted SHAPE"),
        ("8,128", "wanted SHAPE"),
        ("-8x128", "wanted SHAPE"),
        ("8x128:", "wanted SHAPE"),
        ("8x128:int64<", "wanted SHAPE"),
        ("8x128:int64<-1", "wanted SHAPE"),
        ("a-b=8", "wanted SHAPE"),
        ("1=8", "wanted SHAPE"),
        ("8x0x2", "every size must be 1 or more"),
        ("8:float32", "unknown dtype 'float32'; known: fp32, bf16, fp16, int64"),
        ("8:float32<9", "unknown dtype 'float32'"),
        ("1x512:int64", "integers need a bound, as in '1x512:int64<32000'"),
        # An example must itself be readable.
        ("4:int8", "integers need a bound, as in '4:int8<128'"),
        ("8:int64<0", "the bound of int64 must lie from 1 to 9223372036854775807"),
        ("8:uint8<257", "the bound of uint8 must lie from 1 to 256"),
        ("8:fp32<9", "only integers have a bound, and fp32 has none"),
        ("8:bool<2", "only integers have a bound, and bool has none"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason_and_examples(given, message):
    with pytest.raises(ValueError, match=r"^input ") as refused:
        read_input(given)

    text = str(refused.value)
    assert text.startswith(f"input '{given}': {message}")
    assert text.endswith("; such as 8x128, 8x3x224x224:fp32, '1x512:int64<32000', 1x512:bool")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_may_reach_the_largest_of_their_dtype(dtype):
    largest = INTEGERS[dtype]

    assert read_input(f"2:{dtype}<{largest}").bound == largest
    with pytest.raises(ValueError, match=f"must lie from 1 to {largest}"):
        read_input(f"2:{dtype}<{largest + 1}")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_the_largest_integers_can_be_drawn(dtype):
    torch = pytest.importorskip("torch")
    from trnbench.models.foreign import draw_inputs
    from trnbench.models.inputs import Draw

    spec = read_input(f"64:{dtype}<{INTEGERS[dtype]}")
    (drawn,) = draw_inputs([spec], Draw("fp32", seed=3))

    assert drawn.dtype is getattr(torch, dtype)
    assert drawn.min() >= 0


@pytest.mark.parametrize("dtype", FLOATING)
def test_floating_inputs_have_no_bound(dtype):
    assert read_input(f"2:{dtype}").bound is None


def test_inputs_are_read_in_their_order():
    specs = read_inputs(["8x2", "4:bool", "b=2", "a=3"])

    assert [spec.name for spec in specs] == [None, None, "b", "a"]
    assert [spec.shape for spec in specs] == [(8, 2), (4,), (2,), (3,)]
    assert read_inputs([]) == ()
    assert read_inputs(" ".join(map(str, specs)).split()) == specs


def test_an_input_without_a_name_comes_first():
    with pytest.raises(ValueError, match="inputs a=2 3: those without a name come first"):
        read_inputs(["a=2", "3"])
    with pytest.raises(ValueError, match="inputs 1 a=2 3 b=4: those without a name come first"):
        read_inputs(["1", "a=2", "3", "b=4"])


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="input 'a' is given twice; each argument takes one"):
        read_inputs(["a=2", "b=2", "a=3"])
