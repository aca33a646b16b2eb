"""The JSON of batches, as OpenAPI describes it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from ladnn.service.batches import Progress
from ladnn.service.schemas import Asked, Covid, case_link, covid_json
from ladnn.service.tables_batches import Batch, BatchItem

State = Literal["arriving", "waiting", "done", "failed", "cancelled"]
ITEMS_SHOWN = 100
"""How many items an answer to a request that brought more lists."""


class BatchOut(BaseModel):
    """A batch and how many of its items are in each state."""

    id: str
    created_at: datetime
    total: int
    arriving: int
    waiting: int
    done: int
    failed: int
    cancelled: int
    finished: bool
    links: dict[str, str]


class BatchesOut(BaseModel):
    """A page of batches, newest first; `next` is the address of the page behind it."""

    batches: list[BatchOut]
    total: int
    next: str | None


class ItemOut(BaseModel):
    """One item: `prediction` is the id of its result, None while and where there is none.

    `number` counts the items of the batch from 1 as they came; names need not differ.
    """

    id: str
    number: int
    name: str
    sha256: list[str]
    state: State
    error: str
    covid: Covid | None
    prediction: str | None
    links: dict[str, str]


class ItemsOut(BaseModel):
    """A page of items; `next` is the address of the page behind it."""

    items: list[ItemOut]
    total: int
    next: str | None


class ReceivedOut(BaseModel):
    """What one request brought: how many items, how many of them new, and the first hundred."""

    received: int
    new: int
    items: list[ItemOut]


class Digests(Asked):
    """The sha256 of files, in hexadecimal."""

    sha256: list[str] = Field(max_length=10_000)


def batch_json(batch: Batch, progress: Progress) -> dict[str, Any]:
    """A batch with its progress."""
    self_link = f"/api/v1/batches/{batch.public_id}"
    return {
        "id": batch.public_id,
        "created_at": batch.created_at,
        "total": progress.total,
        "arriving": progress.arriving,
        "waiting": progress.waiting,
        "done": progress.done,
        "failed": progress.failed,
        "cancelled": progress.cancelled,
        "finished": progress.finished,
        "links": {
            "self": self_link,
            "items": f"{self_link}/items",
            "page": f"/batches/{batch.public_id}",
            "csv": f"{self_link}/results.csv",
            "zip": f"{self_link}/results.zip",
        },
    }


def item_json(item: BatchItem, number: int) -> dict[str, Any]:
    """An item, the `number`th of its batch, with its result in short."""
    case, links = item.case, {}
    if case is not None:
        links = {"page": f"/results/{case.share_token}", "prediction": case_link(case)}
    return {
        "id": item.public_id,
        "number": number,
        "name": item.name,
        "sha256": [file.sha256 for file in item.files],
        "state": item.state,
        "error": item.error,
        "covid": None if case is None else covid_json(case),
        "prediction": None if case is None else case.public_id,
        "links": links,
    }
