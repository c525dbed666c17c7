"""Split models: any part stands for the whole, and parts that don't belong together are refused."""

from pathlib import Path

import pytest

from fitcheck.errors import BadInput
from fitcheck.sources.gguf_file import part_names, read_gguf


def write_parts(draft, folder: Path, count: int, **lies: object) -> list[Path]:
    paths = []
    for number in range(count):
        split = {"split.no": ("u16", number), "split.count": ("u16", count), "split.tensors.count": count}
        metadata = {"general.architecture": "llama"} if number == 0 else {}
        made = draft(metadata={**metadata, **split, **lies})
        made.add(f"t{number}", (32, 10), 8, 340)
        paths.append(made.write(folder / f"m-{number + 1:05}-of-{count:05}.gguf"))
    return paths


@pytest.mark.parametrize("given", [0, 1, 2])
def test_any_part_stands_for_the_whole(draft, tmp_path, given):
    paths = write_parts(draft, tmp_path, 3)
    read = read_gguf(paths[given])
    assert [t.name for t in read.tensors] == ["t0", "t1", "t2"]
    assert read.parts == 3
    assert read.file_bytes == sum(path.stat().st_size for path in paths)
    assert read.metadata["general.architecture"] == "llama"


def test_missing_parts_are_named(draft, tmp_path):
    paths = write_parts(draft, tmp_path, 8)
    for path in paths[1:7]:
        path.unlink()
    with pytest.raises(BadInput) as caught:
        read_gguf(paths[0])
    assert caught.value.message.startswith("6 of 8 parts of the model are missing: m-00002-of-00008.gguf,")
    assert caught.value.message.endswith("and 3 more")


def test_a_part_that_does_not_exist_is_said_to_be_missing_itself(draft, tmp_path):
    write_parts(draft, tmp_path, 2)
    with pytest.raises(BadInput, match="does not exist"):
        read_gguf(tmp_path / "other-00001-of-00002.gguf")


def test_a_renamed_part_is_told_from_a_whole_model(draft, tmp_path):
    path = write_parts(draft, tmp_path, 2)[1].rename(tmp_path / "model.gguf")
    with pytest.raises(BadInput, match="one part of a model split in 2"):
        read_gguf(path)


def test_parts_that_changed_places_are_refused(draft, tmp_path):
    first, second = write_parts(draft, tmp_path, 2)
    third = first.rename(tmp_path / "spare.gguf")
    second.rename(first)
    third.rename(second)
    with pytest.raises(BadInput, match="calls itself part 2 of 2"):
        read_gguf(first)


def test_parts_of_two_downloads_are_refused(draft, tmp_path):
    first, _ = write_parts(draft, tmp_path, 2, **{"split.tensors.count": 3})
    with pytest.raises(BadInput, match="hold 2 tensors, and the first says 3"):
        read_gguf(first)


def test_the_same_tensor_in_two_parts_is_refused(draft, tmp_path):
    first, second = write_parts(draft, tmp_path, 2)
    split = {"split.no": ("u16", 1), "split.count": ("u16", 2), "split.tensors.count": 2}
    draft(metadata=split).add("t0", (32, 10), 8, 340).write(second)
    with pytest.raises(BadInput, match="the same tensor"):
        read_gguf(first)


@pytest.mark.parametrize("lie", ["text", -1, [1, 2], 3.5, 2**31])
@pytest.mark.parametrize("key", ["split.no", "split.count", "split.tensors.count"])
def test_split_metadata_of_any_kind_is_one_clear_line(draft, tmp_path, key, lie):
    first, _ = write_parts(draft, tmp_path, 2, **{key: lie})
    with pytest.raises(BadInput) as caught:
        read_gguf(first)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["m-00000-of-00002.gguf", "m-00003-of-00002.gguf", "m-00001-of-00000.gguf"])
def test_impossible_part_numbers(name):
    with pytest.raises(BadInput, match="is part"):
        part_names(name)


def test_a_hundred_thousand_parts_are_not_a_hang(draft, tmp_path):
    with pytest.raises(BadInput, match="99998 of 99999 parts"):
        read_gguf(draft().write(tmp_path / "m-00001-of-99999.gguf"))
