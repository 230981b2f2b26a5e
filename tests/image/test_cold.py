"""A cold start in the container takes as long as one in a plain process."""

from tests.image.cold import LIMIT, bundle, image, measure

PAIRS = 15


def test_the_container_is_ready_as_soon_as_a_plain_process() -> None:
    model = bundle()
    ready = measure(model, image(model), PAIRS)
    assert ready.ratio.middle <= LIMIT, "\n".join(ready.lines())
