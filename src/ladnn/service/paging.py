"""Lists in pages: how long one is, where it begins, and the address of the one behind it."""

from typing import Annotated

from fastapi import Query

Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]


def next_page(path: str, limit: int, offset: int, total: int, query: str = "") -> str | None:
    """The address of the page behind this one; None on the last.

    `query` is what else the address asks for, each with an ampersand behind it.
    """
    behind = offset + limit
    return f"{path}?{query}limit={limit}&offset={behind}" if behind < total else None
