"""Search the index of a stack."""

from pathlib import Path
from typing import Any

from infra.common.paths import shown
from infra.common.search_query import QueryOptions, request_body
from infra.common.search_results import print_hits, write_hits_page
from infra.common.thumbnails import ReadPicture
from infra.operate.search.api import invoke_api
from infra.operate.stack import DeployedStack


def search_stack(
    stack: DeployedStack, query: QueryOptions, html: Path | None, read: ReadPicture, *, as_json: bool
) -> dict[str, Any]:
    """Search, print the hits or write the page, and return the answer.

    Args:
        stack: the stack.
        query: the search.
        html: page to write; None for none.
        read: reads the pictures of the page.
        as_json: whether the caller prints JSON instead of the table.

    Raises:
        UsageError: the request is invalid.
        OperatorError: the search fails.
    """
    answer = invoke_api(stack, request_body(query))
    if html is not None:
        write_hits_page(answer, query.shown, html, read)
        print(f"Wrote {shown(html)}.")
    elif not as_json:
        print_hits(answer)
    return answer
