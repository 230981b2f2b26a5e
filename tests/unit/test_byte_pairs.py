"""The table for ASCII text gives the ids of the reference tokenizer, and leaves all other text to the library."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.model.byte_pairs import BytePairs, read_byte_pairs
from handler.model.tokenizer import load_library
from infra.bake.byte_pairs import byte_pairs
from tests.support import clip_bpe
from tests.support.clip_bpe import END, START
from tests.support.clip_tokenizer import write_tokenizer
from tests.support.texts import TEXTS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = write_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json")
    return byte_pairs(path, load_library(path))


@pytest.fixture(scope="module")
def table(data: bytes) -> BytePairs:
    return read_byte_pairs(data)


def expected(text: str) -> list[int]:
    """The reference tokenizer's ids, not truncated."""
    ids = clip_bpe.encode(text, 20_000)
    return ids[: ids.index(END) + 1]


@pytest.mark.parametrize("group", TEXTS)
def test_ids_equal_the_reference_tokenizers_or_are_left_to_the_library(table: BytePairs, group: str) -> None:
    for text in TEXTS[group]:
        head = " ".join(text.split())
        found = table.ids(head)
        assert (
            found is None
            if not head.isascii() or max(map(len, head.split()), default=0) > 64
            else (found == expected(head))
        ), text


@given(text=st.text(st.characters(max_codepoint=127), max_size=60))
def test_ids_of_any_ascii_text_equal_the_reference_tokenizers(table: BytePairs, text: str) -> None:
    text = " ".join(text.split())
    assert table.ids(text) == expected(text)


def test_a_published_example(table: BytePairs) -> None:
    assert table.ids("test tokenization") == [START, 1628, 32634, 10847, END]
    assert table.ids("") == [START, END]


@pytest.mark.parametrize("text", ["caf\u00e9", "\u732b", "a" * 65, "-" * 65, "fine until " + "x" * 65])
def test_other_text_and_very_long_words_are_left_to_the_library(table: BytePairs, text: str) -> None:
    assert table.ids(text) is None


def test_a_word_of_64_characters_is_not_too_long(table: BytePairs) -> None:
    word = "supercalifragilistic" * 3 + "abcd"
    assert len(word) == 64
    assert table.ids(word) == expected(word)


@pytest.mark.parametrize("size", [0, 2055, -1, -8])
def test_a_file_of_an_impossible_length_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(ValueError, match="not a table of byte pairs"):
        read_byte_pairs(data[:size])
