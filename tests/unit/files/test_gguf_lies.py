"""Headers that lie: one clear line each, in bounded time and memory."""

import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fitcheck.errors import BadInput
from fitcheck.sources.binary_file import LARGEST_READ
from fitcheck.sources.gguf_file import parse_gguf, read_gguf
from fitcheck.sources.gguf_model import model_of
from fitcheck.sources.gguf_weights import file_weights

HUGE = 1 << 60


def of(**changes: object):
    """A change to a draft of one tensor."""
    return lambda draft: draft(**changes).add("a", (32,), 0, 128)


def raw(pattern: str, *values: object):
    """A metadata section written by hand: one key, then whatever follows."""

    def make(draft):
        made = draft(metadata={}, key_count=1)
        made.raw_metadata = made.text("key") + made.pack(pattern, *values)
        return made

    return make


def tensor(shape: tuple[int, ...], type_id: int = 0, size: int = 128, **changes: object):
    return lambda draft: draft(**changes).add("blk.0.attn_q.weight", shape, type_id, size)


LIES = {
    "no end of tensors": (of(tensor_count=HUGE), f"claims {HUGE} tensors"),
    "no end of keys": (of(key_count=HUGE), f"claims {HUGE} metadata keys"),
    "more tensors than there are": (of(tensor_count=60_000), "has a tensor's name of 0 bytes"),
    "fewer tensors than zero": (of(tensor_count=2**64 - 1), "claims 18446744073709551615 tensors"),
    "version 1": (of(version=1), "version 1"),
    "version 4": (of(version=4), "version 4, and fitcheck knows"),
    "version 0": (of(version=0), "version 0"),
    "a string without end": (raw("IQ", 8, HUGE), "ends inside its header"),
    "a string of all bytes": (raw("IQ", 8, 2**64 - 1), "ends inside its header"),
    "an array without end": (raw("IIQ", 9, 4, HUGE), "ends inside its header"),
    "a vocabulary without end": (raw("IIQ", 9, 8, HUGE), f"claims {HUGE} strings"),
    "a vocabulary of endless words": (raw("IIQQ", 9, 8, 100, 2**64 - 1), "ends inside its header"),
    "an array of arrays": (raw("IIQ", 9, 9, 1), "unknown value type 9"),
    "an unknown value": (raw("I", 99), "unknown value type 99"),
    "an unknown element": (raw("IIQ", 9, 99, 1), "unknown value type 99"),
    "a key without name": (of(raw_metadata=b"\0" * 8, key_count=2), "metadata key of 0 bytes"),
    "a key of a megabyte": (
        of(raw_metadata=b"\0\0\x10\0\0\0\0\0", key_count=2),
        "metadata key of 1048576 bytes",
    ),
    "no architecture twice": (
        lambda draft: draft(key_count=2, raw_metadata=draft().header()[24:]),
        "'general.architecture' twice",
    ),
    "a tensor twice": (
        lambda draft: draft().add("a", (32,), 0, 128).add("a", (32,), 0, 128),
        "two tensors called 'a'",
    ),
    "no columns": (tensor((0, 4)), "a dimension of zero"),
    "no rows": (tensor((32, 0)), "a dimension of zero"),
    "five dimensions": (tensor((1, 1, 1, 1, 32)), "5 dimensions"),
    "more dimensions than bytes": (
        lambda draft: draft(tensor_count=1, raw_metadata=draft().text("a") + b"\xff\xff\xff\xff"),
        "4294967295 dimensions",
    ),
    "weights beyond counting": (tensor((HUGE, HUGE)), "claims 132922799578491"),
    "an unknown type": (tensor((32,), 4242), "unknown type 4242"),
    "a dropped type": (tensor((32,), 4), "type Q4_2, which engines have dropped"),
    "half a block": (tensor((100,), 12, 56), "100 columns, which Q4_K can't hold"),
    "half a row": (tensor((16, 2), 8, 34), "16 columns, which Q8_0 can't hold"),
    "TL2 without its columns": (
        tensor((128, 4), 39, 400, metadata={"general.architecture": "bitnet"}),
        "128 columns",
    ),
    "data beyond the end": (tensor((32, 1 << 20), 0, 128), "is cut short"),
    "an offset beyond everything": (
        tensor((32,), offsets={"blk.0.attn_q.weight": HUGE}),
        "claims tensors up to byte 11529",
    ),
    "an offset off the grid": (tensor((32,), offsets={"blk.0.attn_q.weight": 7}), "isn't aligned to 32"),
    "tensors in one place": (
        lambda draft: draft(offsets={"b": 0}).add("a", (32,), 0, 128).add("b", (32,), 0, 128),
        "'b' overlaps",
    ),
    "tensors half in one place": (
        lambda draft: draft(offsets={"b": 64}).add("a", (32,), 0, 128).add("b", (32,), 0, 128),
        "'b' overlaps",
    ),
    "an alignment of zero": (of(metadata={"general.alignment": 0}), "aligns its tensors to 0"),
    "an odd alignment": (of(metadata={"general.alignment": 24}), "aligns its tensors to 24"),
    "an alignment of text": (of(metadata={"general.alignment": "32"}), "aligns its tensors to 32"),
    "an alignment without end": (
        of(metadata={"general.alignment": ("u64", 1 << 62)}),
        "aligns its tensors to 46",
    ),
}  # fmt: skip


@contextmanager
def counted_calls() -> Iterator[list[str]]:
    """What is called meanwhile, by the kind of the call."""
    calls: list[str] = []
    sys.setprofile(lambda _frame, event, _what: calls.append(event) if event.endswith("call") else None)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_one_clear_line(draft, lie, bytes_read):
    make, message = LIES[lie]
    made = make(draft)
    data = made.header().ljust(1 << 16, b"\0")
    tracemalloc.start()
    with counted_calls() as calls, pytest.raises(BadInput) as caught:
        parse_gguf(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message in caught.value.message
    assert "\n" not in caught.value.message + caught.value.remedy
    assert caught.value.remedy
    assert len(caught.value.message) < 250
    assert peak < 8 << 20
    assert bytes_read.total <= 2 * len(data)
    assert len(calls) < 100_000, "a claimed count must not be counted to"


@pytest.mark.parametrize("cut", range(0, 1600, 7))
def test_cut_anywhere_a_file_is_refused(tiny, cut):
    """The header is about 900 bytes, the data follow: every cut says what is missing."""
    with pytest.raises(BadInput, match=r"ends inside its header|cut short|is not a GGUF file"):
        parse_gguf(tiny[:cut])


def test_a_broken_download_says_how_much_is_missing(draft, tmp_path):
    path = draft().add("a", (8192, 1 << 20), 12, 8192 * (1 << 20) // 256 * 144).write(tmp_path / "model.gguf")
    with path.open("r+b") as file:
        file.truncate(1_000_000_000)
    with pytest.raises(BadInput) as caught:
        read_gguf(path)
    assert "its header describes 4.83 GB" in caught.value.message
    assert "(3.83 GB) of them are missing" in caught.value.message
    assert "resume" in caught.value.remedy


def test_a_sparse_file_of_endless_empty_words_is_no_hang(draft, tmp_path, bytes_read):
    """Zeros read as strings of no bytes: as many as are claimed, and nothing behind them."""
    made = draft(metadata={}, key_count=1)
    made.raw_metadata = made.text("key") + made.pack("IIQ", 9, 8, (1 << 22) - 1)
    path = made.write(tmp_path / "model.gguf")
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    read = read_gguf(path)  # and no tensors: an empty model of a terabyte
    assert bytes_read.total < (8 << 22) + 2 * LARGEST_READ
    with pytest.raises(BadInput, match="holds no weights"):
        model_of(read)


NUMBERS = {
    "llama.block_count": "block_count",
    "llama.embedding_length": "embedding_length",
    "llama.attention.head_count": "attention.head_count",
    "llama.attention.head_count_kv": "attention.head_count_kv",
    "llama.context_length": "context_length",
}


@pytest.mark.parametrize("value", ["text", ("i64", -1), ("u64", HUGE), 1.5, ["a"], ("i32", [-5])])
@pytest.mark.parametrize("key", NUMBERS)
def test_metadata_of_the_wrong_kind_is_one_clear_line_or_left_unknown(tiny_llama, key, value):
    made = tiny_llama()
    made.metadata[key] = value
    read = parse_gguf(made.bytes())
    try:
        model = model_of(read)
        file_weights(read)
    except BadInput as error:
        assert NUMBERS[key] in error.message
        assert "\n" not in error.message
    else:
        assert isinstance(value, list | tuple)
        assert model.hidden_size == 8


@pytest.mark.parametrize("claimed", [2, 1000, (1 << 31) - 1])
def test_layers_that_the_file_does_not_hold(tiny_llama, claimed):
    made = tiny_llama()
    made.metadata["llama.block_count"] = claimed
    with pytest.raises(BadInput, match=f"claims {claimed} layers and holds the tensors of 1"):
        model_of(parse_gguf(made.bytes()))


def test_a_name_that_would_paint_the_terminal_is_defused(draft):
    made = draft().add("\x1b[2J\nblk", (100,), 12, 56)
    with pytest.raises(BadInput) as caught:
        parse_gguf(made.bytes())
    assert caught.value.message.isprintable()
