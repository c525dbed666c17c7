import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcheck.errors import BadInput
from fitcheck.units import (
    GIB,
    counted,
    duration,
    gb,
    gib,
    parse_bandwidth,
    parse_capacity,
    parse_tokens,
    rate,
    tokens,
)


@pytest.mark.parametrize("text", ["16", "16G", "16g", "16GB", "16 GiB", "16gib", "16.0G"])
def test_every_way_to_say_16_gib(text: str) -> None:
    assert parse_capacity(text) == 16 * GIB


def test_other_sizes() -> None:
    assert parse_capacity("512M") == GIB // 2
    assert parse_capacity("1.5T") == 1536 * GIB
    assert parse_capacity("24576MiB") == 24 * GIB


@pytest.mark.parametrize(
    "text", ["", "G", "-16", "16X", "0", "0.0G", "1e3", "16 G B", "nan", "inf", "9" * 40, "16;rm", "１６"]
)
def test_no_size(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_capacity(text)
    assert caught.value.remedy


def test_bandwidth() -> None:
    assert parse_bandwidth("60") == parse_bandwidth("60GB/s") == parse_bandwidth("60000MB/s") == 60e9
    assert parse_bandwidth("1.2TB/s") == 1.2e12
    for text in ("0", "fast", "60 GiB"):
        with pytest.raises(BadInput):
            parse_bandwidth(text)


def test_tokens() -> None:
    assert parse_tokens("4096") == parse_tokens("4k") == 4096
    assert parse_tokens("1M") == 1 << 20
    assert parse_tokens("1.5k") == 1536
    for text in ("0", "1.5", "0.3k"):
        with pytest.raises(BadInput):
            parse_tokens(text)


def test_printing() -> None:
    assert gib(16 * GIB) == "16.0 GiB"
    assert gb(42_512_531_712) == "42.51 GB"
    assert [tokens(n) for n in (131072, 25088, 4000, 256, 0)] == ["128k", "24.5k", "4000", "256", "0"]
    assert (tokens(10 << 20), gib(16 << 20), gib(0)) == ("10240k", "16 MiB", "0.0 GiB")
    assert (counted(1, "thread"), counted(2, "thread")) == ("1 thread", "2 threads")
    assert (rate(123.4), rate(4.44), rate(0.394)) == ("123", "4.4", "0.39")


def test_waits_are_said_as_people_say_them():
    waits = (0.42, 38, 1330, 11160)
    assert [duration(wait) for wait in waits] == ["0.42 s", "38 s", "22 min", "3.1 h"]


@given(st.text(max_size=60))
def test_any_text_is_a_size_or_bad_input(text: str) -> None:
    for parse in (parse_capacity, parse_bandwidth, parse_tokens):
        try:
            assert parse(text) > 0
        except BadInput as error:
            assert "\n" not in error.message
