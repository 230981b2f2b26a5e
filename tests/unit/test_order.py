from hypothesis import given
from hypothesis import strategies as st

from handler.results.sequencing import normalize_sequencer

HEX = st.text("0123456789ABCDEF", min_size=1, max_size=40)


@given(HEX, HEX)
def test_text_order_is_the_order_of_padded_sequencers(one: str, other: str) -> None:
    width = max(len(one), len(other))
    padded = one.ljust(width, "0"), other.ljust(width, "0")
    normal = normalize_sequencer(one), normalize_sequencer(other)
    assert (normal[0] < normal[1]) == (padded[0] < padded[1])
    assert (normal[0] == normal[1]) == (padded[0] == padded[1])


@given(HEX)
def test_case_does_not_matter(sequencer: str) -> None:
    assert normalize_sequencer(sequencer.lower()) == normalize_sequencer(sequencer)
