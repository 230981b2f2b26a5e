"""Warnings about a model whose preprocessing is probably wrong: it runs, and its vectors look like vectors."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from handler.images.preprocess import Preprocess, to_tensor
from handler.model.encoder import PORTABLE, Encoder, Vector, open_portable
from handler.model.self_check import cosine_of
from handler.model.spec import load_spec
from handler.model.test_card import draw_test_card

_LEVELS = 255

# Means and standard deviations of pixels that are divided by 255 lie between 0 and 1.
_MOST_OF_UNIT_PIXELS = 2

# Models are trained with values from about -3 to 3, at the narrowest from 0 to 1, or with pixels that are not changed.
_NARROWEST, _FURTHEST = 0.5, 10

# Vectors of pictures that have nothing in common; a model that sees them is far below.
_ALIKE = 0.999


def warnings_of(bundle: Path) -> Iterator[str]:
    """Warn about a bundle's preprocessing, one line for each reason.

    Args:
        bundle: the directory, with `model.json` and the graph.
    """
    spec = load_spec(bundle)
    how = spec.preprocess
    yield from preprocessing_warnings(how)
    encoder = Encoder(bundle, spec, open_portable(bundle, spec), PORTABLE)
    cosine = min(_cosines(encoder))
    if cosine >= _ALIKE:
        yield f"the vectors of three unlike pictures hardly differ (cosine {cosine:.5f} or more); {_CHECK}"


_CHECK = "check mean, std and divisor in [preprocess]"


def preprocessing_warnings(how: Preprocess) -> Iterator[str]:
    """Warn about statistics that do not fit their divisor, and about tensors that no model is trained with."""
    largest = max(*how.mean, *how.std)
    is_changed = any(how.mean) or any(value != 1 for value in how.std)
    if how.divisor == _LEVELS and largest > _MOST_OF_UNIT_PIXELS:
        yield f"mean and std look like those of pixels from 0 to 255 ({largest:g}), but the divisor is 255; {_CHECK}"
    elif how.divisor == 1 and is_changed and largest <= _MOST_OF_UNIT_PIXELS:
        yield f"mean and std look like those of pixels from 0 to 1 ({largest:g}), but the divisor is 1; {_CHECK}"
    else:
        low, high = _range(how)
        is_raw = how.divisor == 1 and not is_changed
        if not is_raw and (high - low < _NARROWEST or max(-low, high) > _FURTHEST):
            yield f"the model's input ranges from {low:.3g} to {high:.3g}, far from the usual -3 to 3; {_CHECK}"


def _range(how: Preprocess) -> tuple[float, float]:
    """The least and the greatest value that a tensor can have."""
    channels = list(zip(how.mean, how.std, strict=True))
    ends = [(level / how.divisor - mean) / std for level in (0, _LEVELS) for mean, std in channels]
    return min(ends), max(ends)


def _cosines(encoder: Encoder) -> Iterator[float]:
    """Cosines between the vectors of the test card, of its negative, and of black and white stripes."""
    card = draw_test_card()
    stripes = np.zeros_like(card)
    stripes[:, ::2] = _LEVELS
    vectors: list[Vector] = [
        encoder.embed(to_tensor(Image.fromarray(pixels), encoder.spec.preprocess))
        for pixels in (card, _LEVELS - card, np.ascontiguousarray(stripes))
    ]
    for number, vector in enumerate(vectors):
        yield cosine_of(vector, vectors[number - 1])
