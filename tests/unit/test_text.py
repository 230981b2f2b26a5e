import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from tokenizers import Tokenizer

from handler.errors import BundleError, InternalError
from handler.model.spec import TextSpec
from handler.model.text import TextEncoder, token_ids
from tests.support import clip_bpe
from tests.support.clip_bpe import END, START
from tests.support.clip_tokenizer import write_tokenizer
from tests.support.text_bundles import GRAPH_FILE, SPEC, TOKENIZER_FILE, load
from tests.support.texts import TEXTS, UNICODE_3_2
from tests.support.towers import CONTEXT, DIM, Tower, make_tower

LONG_CONTEXT = replace(SPEC, context_length=8_000)  # every token of the long texts fits
TEXT = "A photo of a cat, isn't it? 猫 👩‍👩‍👧"


@pytest.fixture(scope="module")
def tower() -> Tower:
    return make_tower()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, tower: Tower) -> Path:
    folder = tmp_path_factory.mktemp("models") / "text"
    folder.mkdir()
    write_tokenizer(folder / TOKENIZER_FILE)
    tower.write(folder / GRAPH_FILE)
    return folder


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> TextEncoder:
    return load(bundle, SPEC, DIM)


@pytest.fixture
def bundle_without_graph(bundle: Path, tmp_path: Path) -> Path:
    """A bundle with a valid tokenizer and without a graph."""
    (tmp_path / TOKENIZER_FILE).symlink_to(bundle / TOKENIZER_FILE)
    return tmp_path


def ids(encoder: TextEncoder, text: str, spec: TextSpec = SPEC) -> list[int]:
    found: list[int] = token_ids(encoder.tokenizer, text, spec).tolist()
    return found


def error_of(bundle: Path, spec: TextSpec = SPEC, dim: int = DIM) -> str:
    """The message of the error that loading a text tower raises."""
    with pytest.raises(BundleError) as caught:
        load(bundle, spec, dim)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_there_are_at_least_a_thousand_texts() -> None:
    assert len({text for group in TEXTS.values() for text in group}) >= 1_000


@pytest.mark.parametrize("group", TEXTS)
def test_ids_equal_the_reference_tokenizers(encoder: TextEncoder, group: str) -> None:
    for text in TEXTS[group]:
        assert ids(encoder, text) == clip_bpe.encode(text, CONTEXT), text
        assert ids(encoder, text, LONG_CONTEXT) == clip_bpe.encode(text, LONG_CONTEXT.context_length), text


@given(text=st.text(st.sampled_from(UNICODE_3_2)) | st.text(st.characters(max_codepoint=0x24F)))
def test_ids_of_any_text_equal_the_reference_tokenizers(encoder: TextEncoder, text: str) -> None:
    assert ids(encoder, text) == clip_bpe.encode(text, CONTEXT)


def test_ids_of_a_published_example() -> None:
    # Output of OpenCLIP: https://github.com/huggingface/diffusers/issues/2201
    assert clip_bpe.encode("test tokenization", 7) == [49406, 1628, 32634, 10847, 49407, 0, 0]


def test_known_differences_from_clips_original_tokenizer(encoder: TextEncoder) -> None:
    assert ids(encoder, "&amp;") == ids(encoder, "& amp ;"), "HTML entities are not resolved"
    assert ids(encoder, "don\u2019t") != ids(encoder, "don't"), "curly quotes are not replaced"
    assert ids(encoder, "ΟΔΟΣ") == ids(encoder, "οδοσ") != clip_bpe.encode("ΟΔΟΣ", CONTEXT), "no final sigma"


def test_a_long_text_is_truncated_and_ends_with_the_end_token(encoder: TextEncoder) -> None:
    fits, long = ids(encoder, "cat " * 75), ids(encoder, "cat " * 76)
    assert fits == long
    assert len(long) == CONTEXT
    assert (long[0], long[-1], long.count(END)) == (START, END, 1)
    assert ids(encoder, "cat " * 74)[-2:] == [END, 0]


def test_the_bundle_specifies_the_padding(bundle: Path) -> None:
    zero = load(bundle, SPEC, DIM)
    end = load(bundle, replace(SPEC, pad_id=END), DIM)
    assert ids(zero, "cat", zero.spec)[:4] == [START, 2368, END, 0]
    assert ids(end, "cat", end.spec) == [START, 2368, *[END] * 75]
    assert not np.allclose(zero.embed(["cat"]), end.embed(["cat"])), (
        "without a causal mask, the padding changes the vector"
    )


def test_padding_and_truncation_of_the_tokenizer_file_are_disabled(bundle: Path, bundle_without_graph: Path) -> None:
    tokenizer = Tokenizer.from_file(str(bundle / TOKENIZER_FILE))
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(pad_id=7, pad_token="!", length=10)
    (bundle_without_graph / TOKENIZER_FILE).unlink()
    tokenizer.save(str(bundle_without_graph / TOKENIZER_FILE))
    (bundle_without_graph / GRAPH_FILE).symlink_to(bundle / GRAPH_FILE)
    for text in (TEXT, "", "cat " * 100):
        assert ids(load(bundle_without_graph, SPEC, DIM), text) == clip_bpe.encode(text, CONTEXT)


@pytest.mark.parametrize("special", ["<|endoftext|>", "<|startoftext|>", "<end_of_text>"])
def test_names_of_special_tokens_are_ordinary_text(encoder: TextEncoder, special: str) -> None:
    text = f"a cat {special} a dog"
    assert ids(encoder, text) == clip_bpe.encode(text, CONTEXT)
    assert ids(encoder, text).count(END) == 1


@pytest.mark.parametrize(
    ("text", "equivalent"),
    [
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("\udfff", "\ufffd"),
        ("two halves \ud83d\ude00", "two halves 😀"),
        ("\ufeffbom", "\ufeffbom"),
    ],
)
def test_lone_surrogates_are_replaced(encoder: TextEncoder, text: str, equivalent: str) -> None:
    assert ids(encoder, text) == clip_bpe.encode(equivalent, CONTEXT)


@given(text=st.text(st.characters(exclude_categories=())))
def test_every_text_has_one_start_and_one_end_token(encoder: TextEncoder, text: str) -> None:
    found = ids(encoder, text)
    assert (found[0], found.count(START), found.count(END)) == (START, 1, 1)
    assert max(found) == END


@pytest.mark.parametrize("piece", ["1", "a", "a cat ", " ", "猫", "!", "e\u0301", "\u0301", "\ud800", "'s", "😍"])
def test_a_megabyte_of_text_is_tokenized_within_a_second(encoder: TextEncoder, piece: str) -> None:
    megabyte = piece * (1_000_000 // len(piece))
    started = time.perf_counter()
    found = ids(encoder, megabyte)
    assert time.perf_counter() - started < 1
    assert found == ids(encoder, piece * 4_000)


def test_a_long_run_of_white_space_counts_as_one_space(encoder: TextEncoder) -> None:
    assert ids(encoder, " " * 1_000_000 + "cat" + "\n" * 1_000_000 + "dog") == ids(encoder, "cat dog")


def test_vectors_equal_the_expected_ones(encoder: TextEncoder, tower: Tower) -> None:
    texts = [TEXT, "", "dog", "five hundred words " * 167]
    vectors = encoder.embed(texts)
    assert vectors.dtype == np.float32
    expected = np.stack([tower.expect(clip_bpe.encode(text, CONTEXT)) for text in texts])
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-5)


def test_a_vector_does_not_depend_on_other_texts(encoder: TextEncoder) -> None:
    alone = encoder.embed([TEXT])
    np.testing.assert_array_equal(encoder.embed(["a", TEXT, "b"])[1:2], alone)
    np.testing.assert_array_equal(encoder.embed([TEXT] * 3), np.repeat(alone, 3, axis=0))


def test_an_empty_list_has_no_vectors(encoder: TextEncoder) -> None:
    assert encoder.embed([]).shape == (0, DIM)


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (replace(SPEC, input_dtype="int32"), {"dtype": TensorProto.INT32}),
        (SPEC, {"shape": (1, CONTEXT)}),
        (replace(SPEC, input_name="text", output_name="features"), {"names": ("text",), "output": "features"}),
    ],
    ids=["int32", "fixed sizes", "other names"],
)
def test_graphs_with_other_inputs_and_outputs(
    bundle_without_graph: Path, tower: Tower, spec: TextSpec, options: dict[str, Any]
) -> None:
    tower.write(bundle_without_graph / GRAPH_FILE, **options)
    (vector,) = load(bundle_without_graph, spec, DIM).embed([TEXT])
    np.testing.assert_allclose(vector, tower.expect(clip_bpe.encode(TEXT, CONTEXT)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pad", [0, END])
def test_the_attention_mask_covers_the_padding(bundle_without_graph: Path, tower: Tower, pad: int) -> None:
    tower.write(bundle_without_graph / GRAPH_FILE, names=("input_ids", "attention_mask"))
    spec = replace(SPEC, pad_id=pad, mask_name="attention_mask")
    for text in ("cat", "", "cat " * 100):
        (vector,) = load(bundle_without_graph, spec, DIM).embed([text])
        known = min(2 + text.count("cat"), CONTEXT)
        expected = tower.expect(clip_bpe.encode(text, CONTEXT, pad), known)
        np.testing.assert_allclose(vector, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "spec", "message"),
    [
        ({"names": ("ids",)}, SPEC, "expected input_ids int64 [N, 77]"),
        ({"names": ("input_ids", "attention_mask")}, SPEC, "expected input_ids int64 [N, 77]"),
        ({}, replace(SPEC, mask_name="attention_mask"), "expected attention_mask and input_ids int64 [N, 77]"),
        ({"dtype": TensorProto.INT32}, SPEC, "tensor(int32)"),
        ({}, replace(SPEC, input_dtype="int32"), "expected input_ids int32"),
        ({"output": "pooled_output"}, SPEC, "expected text_embeds"),
        ({"shape": ("batch_size", CONTEXT)}, replace(SPEC, context_length=64), "expected input_ids int64 [N, 64]"),
        ({"shape": (8, CONTEXT)}, SPEC, "[8, 77]"),
        ({}, replace(SPEC, context_length=64), "text.onnx cannot embed a text"),
    ],
)
def test_a_graph_that_does_not_match_the_spec_is_refused(
    bundle_without_graph: Path, tower: Tower, options: dict[str, Any], spec: TextSpec, message: str
) -> None:
    tower.write(bundle_without_graph / GRAPH_FILE, **options)
    assert message in error_of(bundle_without_graph, spec)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"dim": 512}, "float32 [1, 512]; expected float32 [1, 24]"),
        ({"vocabulary": 30_000}, "cannot embed a text"),
        ({"context": 64}, "cannot embed a text"),
        ({"gain": np.nan}, "returns infinities or NaNs"),
    ],
)
def test_weights_that_do_not_match_the_spec_are_refused(
    bundle_without_graph: Path, weights: dict[str, Any], message: str
) -> None:
    make_tower(**weights).write(bundle_without_graph / GRAPH_FILE)
    assert message in error_of(bundle_without_graph)


def test_a_vector_with_nans_is_an_internal_error(bundle_without_graph: Path) -> None:
    tower = make_tower()
    tower.tokens[2368] = np.nan  # cat
    tower.write(bundle_without_graph / GRAPH_FILE)
    encoder = load(bundle_without_graph)
    assert np.isfinite(encoder.embed(["dog"])).all()
    with pytest.raises(InternalError, match="NaNs"):
        encoder.embed(["dog", "a cat"])


@pytest.mark.parametrize("name", [GRAPH_FILE, TOKENIZER_FILE])
def test_a_missing_file_is_named(bundle: Path, tmp_path: Path, name: str) -> None:
    for other in {GRAPH_FILE, TOKENIZER_FILE} - {name}:
        (tmp_path / other).symlink_to(bundle / other)
    assert error_of(tmp_path).startswith(f"{tmp_path / name} is missing")


def test_an_invalid_graph_file_is_refused(bundle_without_graph: Path) -> None:
    (bundle_without_graph / GRAPH_FILE).write_bytes(b"<html>")
    assert "onnxruntime cannot load" in error_of(bundle_without_graph)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"{}", b"[]", b'{"model": {"type": "BPE"}}', b"\xff\xfe", b'{"version": "1.0", "model": 5}'],
)
def test_an_invalid_tokenizer_file_is_refused(bundle: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / GRAPH_FILE).symlink_to(bundle / GRAPH_FILE)
    (tmp_path / TOKENIZER_FILE).write_bytes(content)
    assert "is not a tokenizer" in error_of(tmp_path)


def rewrite_tokenizer(bundle: Path, into: Path, **changes: dict[str, Any] | None) -> None:
    """Write the bundle's tokenizer with some parts changed, and link the bundle's graph."""
    fields = json.loads((bundle / TOKENIZER_FILE).read_text("utf-8"))
    for part, change in changes.items():
        fields[part] = change and fields[part] | change
    (into / TOKENIZER_FILE).write_text(json.dumps(fields), "utf-8")
    (into / GRAPH_FILE).symlink_to(bundle / GRAPH_FILE)


def test_a_tokenizer_without_start_and_end_token_is_refused(bundle: Path, tmp_path: Path) -> None:
    rewrite_tokenizer(bundle, tmp_path, post_processor=None)
    assert "adds 0 tokens" in error_of(tmp_path)


def test_a_panic_of_the_tokenizers_library_is_a_bundle_error(bundle: Path, tmp_path: Path) -> None:
    rewrite_tokenizer(bundle, tmp_path, model={"continuing_subword_prefix": "longer"})
    assert "is not a tokenizer" in error_of(tmp_path)


def test_a_failure_of_the_tokenizer_is_a_bundle_error(bundle: Path, tmp_path: Path) -> None:
    # Without byte-level pre-tokenization, some characters are not in the vocabulary, and there is no unknown token.
    rewrite_tokenizer(bundle, tmp_path, model={"unk_token": "absent"}, pre_tokenizer={"pretokenizers": []})
    encoder = load(tmp_path, SPEC, DIM)
    with pytest.raises(BundleError, match="the bundle's tokenizer failed"):
        encoder.embed(["猫"])


def test_tokenizers_and_pillow_are_not_imported_before_they_are_needed() -> None:
    seen = "import sys; print([name for name in ('tokenizers', 'huggingface_hub', 'PIL') if name in sys.modules])"
    for imports, loaded in [
        ("handler.pipeline, handler.direct, handler.model.labels", "['PIL']"),
        ("handler.model.text", "[]"),
    ]:
        code = f"import {imports}; {seen}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == loaded
