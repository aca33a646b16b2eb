"""Lists in pages: how long one is, where it begins, and the address of the one behind it."""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Query

Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]


def page(
    name: str,
    items: Iterable[Any],
    path: str,
    *,
    limit: int,
    offset: int,
    total: int,
    query: str = "",
) -> dict[str, Any]:
    """A page of a list as programs get it.

    Args:
        name: what the items are called.
        items: of this page.
        path: of the list.
        limit: the most items of a page, as it was asked for.
        offset: how many items lie before this page.
        total: how many items the list has.
        query: what else the address asks for, each with an ampersand behind it.

    Returns:
        The items, `total`, and as `next` the address of the page behind; None on the last.
    """
    behind = offset + limit
    more = f"{path}?{query}limit={limit}&offset={behind}" if behind < total else None
    return {name: list(items), "total": total, "next": more}
