"""Nothing of a cold start is lost on the way into the container."""

from tests.image.cold import LIMIT, bundle, image, measure

PAIRS = 15


def test_ready_as_soon_as_a_process_of_the_benchmarks() -> None:
    model = bundle()
    ready = measure(model, image(model), PAIRS)
    assert ready.ratio.middle <= LIMIT, "\n".join(ready.lines())
