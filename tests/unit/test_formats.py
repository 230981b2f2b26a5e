"""Pictures of known pixels, in every kind of file: decoded as they are, or refused by name."""

import numpy as np
import pytest

from handler.errors import RejectedError
from handler.images.decode import decode
from tests.formats.case import Case
from tests.formats.matrix import cases

BY_KIND: dict[str, list[Case]] = {}
for one in cases():
    BY_KIND.setdefault(one.kind, []).append(one)


@pytest.mark.parametrize("kind", BY_KIND)
def test_a_kind_of_file_shows_its_known_pixels_or_is_refused_by_name(kind: str) -> None:
    for case in BY_KIND[kind]:
        if case.expected is None:
            with pytest.raises(RejectedError, match=case.refused):
                decode(case.data, 10**7)
            continue
        found = decode(case.data, 10**7)
        assert (found.height, found.width, 3) == case.expected.shape, case.title
        difference = np.abs(np.asarray(found.image).astype(int) - case.expected)
        assert difference.mean() <= case.tolerance, case.title


def test_the_matrix_covers_every_format_and_has_no_case_twice() -> None:
    formats = {kind.split()[0] for kind in BY_KIND}
    assert formats == {"TIFF", "camera", "PNG", "BMP", "JPEG", "AVIF", "HEIC", "WebP", "GIF"}
    titles = [case.title for found in BY_KIND.values() for case in found]
    assert len(titles) == len(set(titles)) > 800
