"""GGUF headers and tensor tables, against files written by the ``gguf`` package."""

import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest

from fitcheck.sources.binary_file import LARGEST_READ
from fitcheck.sources.gguf_file import parse_gguf, read_gguf
from fitcheck.sources.gguf_header import Skipped
from fitcheck.sources.gguf_types import DIALECTS

Types = gguf.GGMLQuantizationType

# gguf-py 0.19 counts Q8_1 as 40 bytes; block_q8_1 of ggml-common.h has 36, and no file holds it.
WRITABLE = sorted(set(gguf.GGML_QUANT_SIZES) - {Types.Q8_1})


def write(path: Path, tensors: dict[str, tuple[tuple[int, ...], Types]], **options: object) -> Path:
    """A file of zeros; shapes are rows first, as the package wants them."""
    writer = gguf.GGUFWriter(path, "llama", **options)
    for name, (shape, type_) in tensors.items():
        weights, size = gguf.GGML_QUANT_SIZES[type_]
        data = np.zeros((*shape[:-1], shape[-1] // weights * size), dtype=np.uint8)
        writer.add_tensor(name, data, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("type_", WRITABLE, ids=lambda type_: type_.name)
def test_every_type_has_the_bytes_that_the_package_writes(tmp_path, type_):
    path = write(tmp_path / "model.gguf", {"a.weight": ((3, 512), type_), "b.weight": ((256,), type_)})
    weights, size = gguf.GGML_QUANT_SIZES[type_]
    read = read_gguf(path)
    assert [(t.name, t.type, t.shape) for t in read.tensors] == [
        ("a.weight", type_.name, (512, 3)),
        ("b.weight", type_.name, (256,)),
    ]
    assert [t.bytes for t in read.tensors] == [3 * 512 // weights * size, 256 // weights * size]
    assert read.file_bytes == path.stat().st_size
    assert read.notes == ()


@pytest.mark.parametrize("endianess", list(gguf.GGUFEndian))
def test_both_byte_orders(tmp_path, endianess):
    tensors = {"token_embd.weight": ((7, 64), Types.F16), "output.weight": ((7, 64), Types.Q8_0)}
    read = read_gguf(write(tmp_path / "model.gguf", tensors, endianess=endianess))
    assert read.byte_order == ("little" if endianess is gguf.GGUFEndian.LITTLE else "big")
    assert {t.name: (t.shape, t.bytes) for t in read.tensors} == {
        "token_embd.weight": ((64, 7), 896),
        "output.weight": ((64, 7), 476),
    }


def test_offsets_are_where_the_package_finds_the_data(tmp_path):
    tensors = {f"t{n}": ((n, 32), Types.Q4_0) for n in range(1, 9)}
    path = write(tmp_path / "model.gguf", tensors)
    theirs = {t.name: t.data_offset for t in gguf.GGUFReader(path).tensors}
    assert {t.name: t.offset for t in read_gguf(path).tensors} == theirs


def test_metadata_is_kept_as_plain_values(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_block_count(80)
    writer.add_rope_freq_base(5e5)
    writer.add_bool("a.flag", True)
    writer.add_array("a.heads", [8, 0, 8])
    writer.add_array("a.windows", [True, False])
    writer.add_array("a.tags", ["text", "ü"])
    writer.add_int64("a.low", -(2**40))
    writer.add_token_list([f"token {n}" for n in range(1000)])
    writer.add_token_types([1] * 5000)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    metadata = read_gguf(tmp_path / "model.gguf").metadata
    assert metadata["llama.block_count"] == 80
    assert metadata["llama.rope.freq_base"] == 5e5
    assert metadata["a.flag"] is True
    assert metadata["a.heads"] == (8, 0, 8)
    assert metadata["a.windows"] == (True, False)
    assert metadata["a.tags"] == ("text", "ü")
    assert metadata["a.low"] == -(2**40)
    assert metadata["tokenizer.ggml.tokens"] == Skipped(1000)
    assert metadata["tokenizer.ggml.token_type"] == Skipped(5000)


def test_strings_are_walked_across_windows(draft):
    """A vocabulary of 3 MB: lengths straddle the ends of what is held at once."""
    words = ["x" * (n % 97) for n in range(60_000)]
    made = draft(metadata={"general.architecture": "llama", "t": words, "last": 7})
    made.add("a", (32,), 0, 128)
    read = parse_gguf(made.bytes())
    assert read.metadata["t"] == Skipped(60_000)
    assert read.metadata["last"] == 7
    assert read.tensors[0].name == "a"


def test_of_a_hundred_gigabytes_the_header_alone_is_read(draft, tmp_path, bytes_read):
    made = draft(metadata={"general.architecture": "llama", "t": [f"token{n}" for n in range(150_000)]})
    for layer in range(80):
        for name in ("attn_q", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            made.add(f"blk.{layer}.{name}.weight", (16384, 16384), 8, 16384 * 16384 // 32 * 34)
    path = made.write(tmp_path / "model.gguf")
    assert path.stat().st_size > 100e9
    tracemalloc.start()
    read = read_gguf(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
    assert bytes_read.total <= len(made.header()) + LARGEST_READ
    assert sum(t.bytes for t in read.tensors) == 400 * 16384 * 16384 // 32 * 34


@pytest.mark.parametrize("version", [2, 3])
def test_versions_two_and_three(tiny_llama, version):
    assert parse_gguf(tiny_llama(version=version).bytes()).version == version


def test_big_endian_by_hand(tiny_llama):
    little, big = (parse_gguf(tiny_llama(order=order).bytes()) for order in "<>")
    assert big.byte_order == "big"
    assert [(t.name, t.shape, t.bytes) for t in big.tensors] == [
        (t.name, t.shape, t.bytes) for t in little.tensors
    ]
    assert big.metadata == little.metadata


def test_a_scalar_without_dimensions_is_one_weight(draft):
    read = parse_gguf(draft().add("scale", (), 0, 4).bytes())
    assert (read.tensors[0].weights, read.tensors[0].bytes) == (1, 4)


def test_gaps_are_told(draft):
    made = draft(offsets={"b": 256}).add("a", (32,), 0, 128).add("b", (32,), 0, 128)
    read = parse_gguf(made.bytes().ljust(made.size + 128, b"\0"))
    assert "gaps" in read.notes[0]


def test_alignment_of_the_file_is_followed(draft):
    made = draft(metadata={"general.architecture": "llama", "general.alignment": 4096}, alignment=4096)
    read = parse_gguf(made.add("a", (32,), 0, 128).add("b", (32,), 0, 128).bytes())
    assert [t.offset for t in read.tensors] == [4096, 8192]


def test_every_type_of_the_tables_is_named_once():
    names = [kind.name for kind in DIALECTS["ggml"].values()]
    assert len(names) == len(set(names))
    for number, kind in DIALECTS["ggml"].items():
        if number in set(Types):
            assert kind.name == Types(number).name


# The tensors of microsoft/bitnet-b1.58-2B-4T-gguf: 2560 wide, FFN 6912, 5 KV heads of 128.
BITNET_SHAPES = {
    "attn_q": (2560, 2560),
    "attn_k": (2560, 640),
    "attn_v": (2560, 640),
    "attn_output": (2560, 2560),
    "ffn_gate": (2560, 6912),
    "ffn_up": (2560, 6912),
    "ffn_down": (6912, 2560),
}


def bitnet(draft, type_id, size, architecture):
    made = draft(metadata={"general.architecture": architecture, "general.file_type": 15})
    for name, shape in BITNET_SHAPES.items():
        made.add(f"blk.0.{name}.weight", shape, type_id, size(*shape))
    return made


def i2_s(columns: int, rows: int) -> int:
    return columns * rows // 4 + 32


def tl2(columns: int, rows: int) -> int:
    packed = (columns - 256) * rows // 3 * 5 // 8 + 256 * rows // 2 * 4 // 8
    return -(-packed // 32) * 32 + 32


def mxfp4(columns: int, rows: int) -> int:
    return columns * rows // 32 * 17


@pytest.mark.parametrize(
    ("type_id", "size", "name"),
    [(36, i2_s, "I2_S"), (38, i2_s, "TL1"), (39, tl2, "TL2"), (39, mxfp4, "MXFP4")],
)
@pytest.mark.parametrize("architecture", ["bitnet-b1.58", "llama"])
def test_contested_numbers_go_by_the_space_between_tensors(draft, type_id, size, name, architecture):
    """Whatever the architecture says: Falcon3-1.58bit calls itself llama."""
    read = parse_gguf(bitnet(draft, type_id, size, architecture).bytes())
    assert {t.type for t in read.tensors} == {name}
    assert [t.bytes for t in read.tensors] == [size(*shape) for shape in BITNET_SHAPES.values()]
    said = f"{type_id} as {name} (bitnet.cpp's), by the space between tensors"
    assert [said in note for note in read.notes] == ([] if name == "MXFP4" else [True])


@pytest.mark.parametrize(
    ("architecture", "file_type", "name"),
    [
        ("bitnet", 40, "TL2"),
        ("llama", 39, "TL2"),
        ("llama", 38, "MXFP4"),
        ("gpt-oss", 38, "MXFP4"),
        ("llama", 15, "MXFP4"),
    ],
)
def test_sizes_that_both_readings_allow_go_by_what_the_file_says(draft, architecture, file_type, name):
    """Pages between tensors hide the difference of small ones."""
    said = {"general.architecture": architecture, "general.file_type": file_type, "general.alignment": 4096}
    made = draft(metadata=said, alignment=4096)
    made.add("blk.0.ffn_up.weight", (256, 8), 39, 2048).add("output_norm.weight", (256,), 0, 1024)
    read = parse_gguf(made.bytes())
    assert read.tensors[0].type == name
    assert "by architecture and file type" in read.notes[0]


def test_a_truncated_bitnet_file_is_still_read_as_one(draft):
    whole = bitnet(draft, 36, i2_s, "llama").bytes()
    with pytest.raises(Exception, match="cut short"):
        parse_gguf(whole[:-1000])
