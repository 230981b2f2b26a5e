"""The commands of search: `search`, `duplicates` and `forget`; `index` has a module of its own."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.cli.options import add_json, on_stack, positive, stack_command
from infra.common.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from types_boto3_s3 import S3Client

    from infra.common.duplicates_report import DuplicatesOptions
    from infra.common.search_query import QueryOptions
    from infra.common.thumbnails import ReadPicture
    from infra.operate.stack import DeployedStack

# The values of infra.common.search_query and infra.common.duplicates_report, which import packages.
_MINUS_WEIGHT, _LEAST_COSINE = -0.5, 0.98


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add these commands."""
    _add_search(commands)
    _add_duplicates(commands)
    _add_forget(commands)


def _add_search(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = stack_command(
        commands,
        "search",
        "find images by words, by a picture, or by an image that is already stored",
        "Search the index of a stack, or with --vectors a file of vectors without AWS. The query is an existing image "
        "file, the address of a stored image, or else words; the prefix text: marks words that are also a file's name. "
        "Words need a model with a text tower, or must be in the model's vocabulary.",
    )
    command.add_argument("query", metavar="WORDS|FILE|s3://BUCKET/KEY", help="what to look for")
    command.add_argument(
        "--minus",
        action="append",
        default=[],
        metavar="WORDS|FILE|s3://BUCKET/KEY",
        help=f"find images unlike this; added to the query with the weight {_MINUS_WEIGHT} (repeatable)",
    )
    command.add_argument(
        "-k", type=int, default=10, metavar="N", help="number of hits, 1 to 1000 (default: %(default)s)"
    )
    command.add_argument(
        "--filter", metavar="JSON", help='only these images, such as {"key": {"$startsWith": "2019/"}}'
    )
    command.add_argument("--min-score", type=float, metavar="X", help="only hits with at least this score, -1 to 1")
    command.add_argument(
        "--dedupe", type=float, metavar="X", help="of hits with at least this cosine to each other, show only the best"
    )
    command.add_argument("--next", metavar="TOKEN", help="show the next page: the token that the page before printed")
    _add_output(command, "write a page with the pictures of the hits")
    file = _add_file_options(command, "search this file exactly, without AWS: .parquet, .npz or results.jsonl")
    file.add_argument(
        "--model", metavar="NAME|DIR", help="bundle for words and pictures (default: the model that the file names)"
    )
    command.set_defaults(run=_search, packages=_packages)


def _add_output(command: argparse.ArgumentParser, html: str) -> None:
    output = command.add_mutually_exclusive_group()
    add_json(output)
    output.add_argument("--html", type=Path, metavar="OUT", help=html)
    command.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="for --html: read the pictures from DIR/KEY instead of S3",
    )


def _add_file_options(command: argparse.ArgumentParser, what: str) -> Any:  # noqa: ANN401 - argparse hides the type
    group = command.add_argument_group("file of vectors")
    group.add_argument("--vectors", type=Path, metavar="FILE", help=what)
    group.add_argument("--fingerprint", metavar="HEX", help="which vectors of a file with several models")
    return group


def _packages(parsed: argparse.Namespace) -> str:
    """The packages of a command that reads a file, or a stack."""
    if parsed.vectors is None or (parsed.html is not None and parsed.images is None):
        return "aws" if parsed.vectors is None or parsed.vectors.suffix != ".parquet" else "vectors"
    return "vectors" if parsed.vectors.suffix == ".parquet" else "base"


def _search(parsed: argparse.Namespace) -> object:
    _check_file_options(parsed)
    if parsed.vectors is None:
        return on_stack(_search_stack)(parsed)
    from infra.offline.search import FileSearch, search_file  # noqa: PLC0415 - see cli.main

    search = FileSearch(
        query=_query(parsed),
        file=parsed.vectors,
        model=parsed.model,
        fingerprint=parsed.fingerprint,
        html=parsed.html,
        as_json=parsed.json,
    )
    return search_file(search, _pictures(parsed, lambda: _user_s3(parsed)))


def _check_file_options(parsed: argparse.Namespace) -> None:
    if parsed.vectors is None and (parsed.fingerprint is not None or getattr(parsed, "model", None) is not None):
        raise UsageError("--fingerprint and --model are for --vectors; a stack searches with its own model")
    if parsed.images is not None and parsed.html is None:
        raise UsageError("--images is for --html")


def _search_stack(stack: "DeployedStack", parsed: argparse.Namespace) -> object:
    from infra.operate.search.query import search_stack  # noqa: PLC0415 - see cli.main

    read = _pictures(parsed, lambda: stack.s3)
    return search_stack(stack, _query(parsed), parsed.html, read, as_json=parsed.json)


def _query(parsed: argparse.Namespace) -> "QueryOptions":
    from infra.common.search_query import QueryOptions  # noqa: PLC0415 - see cli.main

    return QueryOptions(
        query=parsed.query,
        minus=tuple(parsed.minus),
        k=parsed.k,
        filter=parsed.filter,
        min_score=parsed.min_score,
        dedupe=parsed.dedupe,
        next=parsed.next,
    )


def _pictures(parsed: argparse.Namespace, client: "Callable[[], S3Client]") -> "ReadPicture":
    from infra.common.thumbnails import pictures_of_folder, pictures_of_s3  # noqa: PLC0415 - see cli.main

    return pictures_of_s3(client) if parsed.images is None else pictures_of_folder(parsed.images)


def _user_s3(parsed: argparse.Namespace) -> "S3Client":
    """The user's S3, or that of the running local AWS."""
    if parsed.local:
        from infra.common.local_stack import running  # noqa: PLC0415 - see cli.main

        return running().s3
    from infra.common.aws_session import user_session  # noqa: PLC0415 - see cli.main

    client: S3Client = user_session(parsed.region, parsed.profile).client("s3")
    return client


def _add_duplicates(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = stack_command(
        commands,
        "duplicates",
        "find groups of near-identical images",
        "Compare the vectors of all images with each other, exactly, and list groups of near-identical ones. The "
        "vectors come from the table, or with --vectors from a file. Prints an estimate first if "
        "the comparison takes more than a few seconds.",
    )
    command.add_argument(
        "--least",
        type=float,
        default=_LEAST_COSINE,
        metavar="X",
        help="images with at least this cosine are near-identical (default: %(default)s)",
    )
    command.add_argument("--csv", type=Path, metavar="OUT", help="write a row for each image of a group")
    _add_output(command, "write a page with the pictures of the groups")
    _add_file_options(command, "compare the vectors of this file: .parquet, .npz or results.jsonl")
    command.set_defaults(run=_duplicates, packages=_packages)


def _duplicates(parsed: argparse.Namespace) -> object:
    from infra.common.duplicates_report import DuplicatesOptions  # noqa: PLC0415 - see cli.main

    if parsed.images is not None and parsed.html is None:
        raise UsageError("--images is for --html")
    options = DuplicatesOptions(parsed.least, parsed.csv, parsed.html, parsed.json)
    if parsed.vectors is None:
        return on_stack(lambda stack, given: _duplicates_of_stack(stack, given, options))(parsed)
    from infra.offline.duplicates import duplicates_of_file  # noqa: PLC0415 - see cli.main

    read = _pictures(parsed, lambda: _user_s3(parsed))
    return duplicates_of_file(parsed.vectors, parsed.fingerprint, options, read)


def _duplicates_of_stack(stack: "DeployedStack", parsed: argparse.Namespace, options: "DuplicatesOptions") -> object:
    from infra.operate.search.duplicates import duplicates_of_stack  # noqa: PLC0415 - see cli.main

    return duplicates_of_stack(stack, parsed.fingerprint, options, _pictures(parsed, lambda: stack.s3))


def _add_forget(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = stack_command(
        commands,
        "forget",
        "delete an image and everything that was made of it",
        "Delete all versions of an object, its result JSON, its item and its vectors in every index, and wait until "
        "no index has them. This cannot be undone. The item becomes a tombstone for 30 days, so that work under way "
        "cannot bring the image back. Lists the copies that the command cannot delete. Refuses before it starts if "
        "Object Lock protects a version.",
    )
    command.add_argument("source", metavar="s3://BUCKET/KEY", help="the object; the key is not URL-encoded")
    command.add_argument(
        "--wait", type=positive, default=300, metavar="SECONDS", help="how long to wait (default: %(default)s)"
    )
    add_json(command)
    command.set_defaults(run=on_stack(_forget), packages="aws")


def _forget(stack: "DeployedStack", parsed: argparse.Namespace) -> object:
    from infra.operate.search.forget import forget  # noqa: PLC0415 - see cli.main

    return forget(stack, parsed.source, parsed.wait)
