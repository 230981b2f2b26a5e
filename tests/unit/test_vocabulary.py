"""The words of a model without a text tower."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handler.errors import BundleError, RequestError, UnknownWordError
from handler.model.vocabulary import MOST_SUGGESTIONS, Vocabulary, load_vocabulary, normalize_word
from tests.support.bundles import DIM, write_tiny_bundle
from tests.support.class_bundles import add_class_labels, layer_of
from tests.support.text_bundles import add_text

VOCABULARY = Vocabulary(
    ("dog", "hot dog", "crane", "jack-o'-lantern", "grand piano", "airliner", "plane"),
    {
        "dog": (0,),
        "hot dog": (1,),
        "crane": (2,),
        "jack o' lantern": (3,),
        "grand piano": (4,),
        "plane": (5, 6),
        "airliner": (5,),
    },
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    made = write_tiny_bundle(tmp_path / "tiny")
    add_class_labels(made, layer_of(DIM))
    return made


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("dog", "dog"),
        ("DOG", "dog"),
        (" Grand_Piano ", "grand piano"),
        ("grand-piano", "grand piano"),
        ("grand \t\n piano", "grand piano"),
        ("Jack-o\N{RIGHT SINGLE QUOTATION MARK}-Lantern", "jack o' lantern"),
        ("Straße", "strasse"),
        ("", ""),
        (" -_ ", ""),
    ],
)
def test_words_are_compared_without_case_and_kinds_of_space(text: str, normal: str) -> None:
    assert normalize_word(text) == normal
    assert normalize_word(normal) == normal


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("dog", ("dog",)),
        ("Grand_Piano", ("grand piano",)),
        ("plane", ("airliner", "plane")),
        ("JACK O' LANTERN", ("jack-o'-lantern",)),
    ],
)
def test_a_word_finds_its_labels(text: str, labels: tuple[str, ...]) -> None:
    assert VOCABULARY.labels_of(text) == labels


@pytest.mark.parametrize("text", ["cow", "dogs", "do", "", "grand", "a dog", "dog hot", "x" * 5000])
def test_any_other_text_is_unknown(text: str) -> None:
    with pytest.raises(UnknownWordError) as caught:
        VOCABULARY.labels_of(text)
    assert caught.value.code == "unknown_word"
    assert isinstance(caught.value, RequestError)
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("dogs", ("dog",)),
        ("piano", ("grand piano",)),
        ("hot", ("hot dog",)),
        ("Grand paino", ("grand piano",)),
        ("crain", ("crane",)),
        ("beach", ()),
        ("", ()),
        ("ox", ()),
    ],
)
def test_the_nearest_words_of_an_unknown_one(text: str, near: tuple[str, ...]) -> None:
    assert VOCABULARY.nearest(text)[: len(near)] == near
    assert bool(VOCABULARY.nearest(text)) is bool(near)
    with pytest.raises(UnknownWordError) as caught:
        VOCABULARY.labels_of(text)
    assert (", ".join(near) if near else "no known word") in str(caught.value)


def test_few_words_are_suggested() -> None:
    many = Vocabulary(("dog",), {f"{kind} dog": (0,) for kind in "abcdefghij"})
    assert len(many.nearest("dog")) == MOST_SUGGESTIONS
    assert many.nearest("dog")[0] == "a dog"


def test_a_bundle_with_a_classifier_has_words(bundle: Path) -> None:
    vocabulary = load_vocabulary(bundle)
    assert vocabulary is not None
    assert vocabulary.labels_of("True Cat") == ("cat",)
    assert vocabulary.labels_of("crane") == ("crane",), "the bird and the machine"
    assert vocabulary.labels_of("lifting device") == ("crane",), "there is no other one"


def test_a_bundle_of_another_kind_has_none(tmp_path: Path) -> None:
    plain = write_tiny_bundle(tmp_path / "plain")
    assert load_vocabulary(plain) is None
    add_text(plain, DIM, ["cat", "dog"])
    assert load_vocabulary(plain) is None, "its words are texts"


def test_it_loads_without_what_a_model_needs(bundle: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from handler.model.vocabulary import load_vocabulary; "
        "load_vocabulary(Path(sys.argv[1])).labels_of('cat'); "
        "print([name for name in ('numpy', 'onnxruntime', 'PIL', 'difflib', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, bundle], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["labels.json", "words.json"])
@pytest.mark.parametrize("damage", ["absent", "cut", "another file"])
def test_files_that_are_not_the_bundles_own_are_refused(bundle: Path, name: str, damage: str) -> None:
    path = bundle / name
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-2] if damage == "cut" else b'{"names": [], "words": {}}')
    assert str(path) in refusal(bundle)


@pytest.mark.parametrize("words", [{"cat": []}, {"cat": [8]}, {"cat": [-1]}, {"cat": 1}, ["cat"], {"cat": ["x"]}])
def test_words_that_find_no_label_are_refused(bundle: Path, words: Any) -> None:
    rewrite(bundle, words)
    assert "does not hold a vocabulary" in refusal(bundle)


def rewrite(bundle: Path, words: Any) -> None:
    import hashlib

    data = json.dumps({"words": words}).encode()
    (bundle / "words.json").write_bytes(data)
    fields = json.loads((bundle / "model.json").read_bytes())
    fields["labels"]["words"]["sha256"] = hashlib.sha256(data).hexdigest()
    (bundle / "model.json").write_text(json.dumps(fields), "utf-8")


@pytest.mark.parametrize("content", ["[]", "{", '{"labels": 5}', '{"labels": {"words": 5, "names": 5}}'])
def test_a_model_json_that_is_none_is_refused(bundle: Path, content: str) -> None:
    (bundle / "model.json").write_text(content)
    assert "bake the bundle again" in refusal(bundle)


def test_a_missing_bundle_is_refused(tmp_path: Path) -> None:
    assert "model.json" in refusal(tmp_path)


def refusal(bundle: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_vocabulary(bundle)
    assert "\n" not in str(caught.value)
    return str(caught.value)
