"""Compare the bucket, the table and the indexes.

Three passes find keys that seem to differ: over the vectors of every index, over the items of the table, and over the
objects of the bucket. Work may be under way meanwhile, so each of these keys is then read again, as a whole and several
times, and only what differs each time is a difference.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from infra.common.errors import OperatorError
from infra.common.text import printable
from infra.operate.search.candidates import Candidates, find_candidates
from infra.operate.search.differences import DESCRIPTIONS, OF_INDEX, Difference, Kind
from infra.operate.search.indexes import require_indexes
from infra.operate.search.inspect import Inspector
from infra.operate.search.items import add_tombstone, make_toucher, writers
from infra.operate.search.resend import resend
from infra.operate.stack import DeployedStack

# Pauses before each further reading of a key: the indexer gets its changes within a second or two.
PAUSES_SECONDS = (0.0, 2.0, 5.0)

_READERS = 8


@dataclass(frozen=True)
class VerifyOptions:
    """How to verify.

    Attributes:
        repair: whether to repair what differs.
        limit: differences to list.
        as_json: print JSON instead of text.
    """

    repair: bool = False
    limit: int = 100
    as_json: bool = False


@dataclass(frozen=True)
class Verified:
    """What was compared, and what differs.

    Attributes:
        vectors: compared.
        items: compared.
        objects: compared.
        differences: by key.
        repaired: whether a repair was started for all of them.
    """

    vectors: int
    items: int
    objects: int
    differences: Sequence[Difference]
    repaired: bool

    def fields(self, limit: int) -> dict[str, Any]:
        """As a JSON object with so many differences."""
        return {
            "vectors": self.vectors,
            "items": self.items,
            "objects": self.objects,
            "counts": dict(Counter(each.kind.value for each in self.differences)),
            "differences": [asdict(each) for each in self.differences[:limit]],
            "repaired": self.repaired,
        }


def verify(stack: DeployedStack, options: VerifyOptions) -> None:
    """Print the differences, and repair them if asked to.

    Raises:
        OperatorError: there are differences that were not repaired, or the stack has no search.
    """
    found = find_candidates(stack, require_indexes(stack))
    differences = confirm(stack, found)
    if options.repair and differences:
        _repair(stack, differences)
    result = Verified(found.vectors, found.items, found.objects, differences, repaired=options.repair)
    if options.as_json:
        print(orjson.dumps(result.fields(options.limit), option=orjson.OPT_INDENT_2).decode(), flush=True)
    else:
        _print(result, options.limit)
    if differences and not options.repair:
        raise OperatorError(f"{len(differences):,} differences; repair them with `index verify --repair`")


def confirm(stack: DeployedStack, found: Candidates) -> list[Difference]:
    """Read the keys that seem to differ again, until they agree or have differed each time."""
    sources = sorted(found.sources)
    differences: list[Difference] = []
    with ThreadPoolExecutor(_READERS, thread_name_prefix="verify") as pool:
        for pause in PAUSES_SECONDS:
            if sources:
                time.sleep(pause)
            inspector = Inspector.of(stack)  # anew: an index may have been created meanwhile
            differences = [each for some in pool.map(inspector.inspect, sources) for each in some]
            sources = list(dict.fromkeys(each.source for each in differences))
    return differences


def _repair(stack: DeployedStack, differences: Sequence[Difference]) -> None:
    """Touch the items, and send the objects whose items differ to the function.

    A vector of an earlier picture in the index of another model is deleted first: for the indexer, a touched item is
    the same picture as before, of which that index may have a vector.
    """
    indexes = require_indexes(stack)
    for each in differences:
        if each.kind is Kind.STALE_VECTOR:
            indexes.remove(each.index, each.source)
    with writers() as pool:
        of_index = {each.source for each in differences if each.kind in OF_INDEX}
        for source in make_toucher(stack, pool).touch(sorted(of_index)):
            add_tombstone(stack, source)
    resend(stack, sorted({each.source for each in differences if each.kind not in OF_INDEX}))


def _print(result: Verified, limit: int) -> None:
    for each in result.differences[:limit]:
        place = f" ({each.index})" if each.index else ""
        print(printable(f"{each.kind.value:20} {each.source}{place}"))
    if len(result.differences) > limit:
        print(f"… {len(result.differences) - limit:,} more; list them with --limit {len(result.differences)}")
    counts = Counter(each.kind for each in result.differences)
    for kind in Kind:
        if counts[kind]:
            print(f"{counts[kind]:,} x {kind.value}: {DESCRIPTIONS[kind]}")
    print(f"Compared {result.objects:,} objects, {result.items:,} items and {result.vectors:,} vectors.", end=" ")
    if not result.differences:
        print("They agree.")
    elif result.repaired:
        print(f"{len(result.differences):,} differences; the repair is under way: run `index verify` again.")
    else:
        print(flush=True, file=sys.stdout)
