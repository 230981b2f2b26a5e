"""Compare the decoder with libvips and ImageMagick, on pictures of known pixels or on any files.

python -m tests.formats [--model NAME|BUNDLE] [--files DIR]

Prints a table with a line for each kind of file: how many there are, how many this decoder shows as they are known to
be, as libvips and as ImageMagick show them, how many both of those show alike, and how many of these this decoder shows
otherwise ("wrong"). Then every wrong file and every refusal. Exit 1 when a file is wrong or differs from its known
picture.
"""

import argparse
import multiprocessing
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from infra.bake.reuse import bundle_for
from infra.common.progress import meter
from tests.formats.agreement import Agreement, File, compare
from tests.formats.matrix import cases
from tests.formats.renderers import RENDERERS

# Of files that were not made here, a few may be wrong: where a standard says otherwise than both renderers show.
_ALLOWED_OF_FILES = 2


def known_files() -> Iterator[File]:
    """Every case of the matrix."""
    for case in cases():
        yield File(case.kind, case.name, case.data, case.expected, case.tolerance, case.rule)


def found_files(folder: Path) -> Iterator[File]:
    """Every file below a folder; its kind is its extension."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield File(path.suffix.lower().lstrip("."), str(path.relative_to(folder)), path)


def main(arguments: list[str]) -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(prog="python -m tests.formats", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--files", type=Path)
    options = parser.parse_args(arguments)
    found = compared(list(found_files(options.files) if options.files else known_files()), bundle_for(options.model))
    by_kind: dict[str, list[Agreement]] = defaultdict(list)
    for agreement in found:
        by_kind[agreement.kind].append(agreement)
    print_table(by_kind)
    print_rules(found)
    print_refusals(by_kind)
    wrong = [agreement for agreement in found if agreement.is_wrong]
    differing = [agreement for agreement in found if agreement.known is False]
    for word, listed in (("wrong", wrong), ("not its known picture", differing)):
        for agreement in listed:
            print(f"{word}: {agreement.kind}: {agreement.name} {agreement.renderers} {agreement.others}")
    print(f"{len(found)} files, {len(wrong)} wrong, {len(differing)} other than their known pictures")
    return int(len(wrong) > (_ALLOWED_OF_FILES if options.files else 0) or bool(differing))


def compared(files: Sequence[File], bundle: Path) -> list[Agreement]:
    """Compare the files, in a process for each processor."""
    found = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=context) as pool, meter("formats") as shown:
        for agreement in pool.map(partial(compare, bundle), files, chunksize=8):
            found.append(agreement)
            shown.update(len(found), len(files), last=len(found) == len(files))
    return found


def print_table(by_kind: dict[str, list[Agreement]]) -> None:
    """A line for each kind."""
    heads = ["kind", "files", "read", "known", *RENDERERS, "both alike", "wrong"]
    rows = [[kind, *map(str, _counts(found))] for kind, found in sorted(by_kind.items())]
    width = max(map(len, by_kind), default=4)
    for row in (heads, *rows):
        print(
            row[0].ljust(width), *(cell.rjust(max(5, len(head))) for cell, head in zip(row[1:], heads[1:], strict=True))
        )


def _counts(found: Iterable[Agreement]) -> list[int]:
    listed = list(found)
    return [
        len(listed),
        sum(not one.refused for one in listed),
        sum(one.known is True for one in listed),
        *(sum(one.renderers.get(renderer, 0) >= one.same for one in listed) for renderer in RENDERERS),
        sum(one.both_agree for one in listed),
        sum(one.is_wrong for one in listed),
    ]


def print_rules(found: Iterable[Agreement]) -> None:
    """Each rule by which this decoder differs from both renderers, with how many files it is."""
    rules = Counter(one.rule for one in found if one.rule and one.differs_from_both)
    for rule, count in sorted(rules.items()):
        print(f"by rule: {count} x {rule}")


def print_refusals(by_kind: dict[str, list[Agreement]]) -> None:
    """Each reason of each kind once, with how many files it is."""
    for kind, found in sorted(by_kind.items()):
        reasons: dict[str, int] = defaultdict(int)
        for agreement in found:
            if agreement.refused:
                reasons[agreement.refused] += 1
        for reason, count in sorted(reasons.items()):
            print(f"refused: {kind}: {count} x {reason}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
