"""For machines: is it alive, is it ready, how much does it do, and how to talk to it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ladnn.service.accounts.permissions import Permission
from ladnn.service.accounts.principals import Principal, requires
from ladnn.service.addresses import is_within
from ladnn.service.context import services
from ladnn.service.errors import NotAllowed
from ladnn.service.limits import HEALTH, READY
from ladnn.service.metrics import CONTENT_TYPE

router = APIRouter(include_in_schema=False)

Operator = Annotated[Principal, Depends(requires(Permission.OPERATE))]


@router.get(HEALTH)
async def health(_: Operator) -> PlainTextResponse:
    """The process answers, also when all its threads are at work."""
    return PlainTextResponse("ok\n")


@router.get(READY)
def ready(request: Request, _: Operator) -> PlainTextResponse:
    """The database, the files and the model are there; 503 while they are not."""
    site = services(request)
    site.database.check()
    site.blobs.check()
    site.predictor()
    return PlainTextResponse("ready\n")


@router.get("/api/v1/openapi.json")
def openapi(request: Request, _: Operator) -> JSONResponse:
    """The description of the interface, OpenAPI 3.1."""
    return JSONResponse(request.app.openapi())


@router.get("/metrics")
def metrics(
    request: Request, _: Annotated[Principal, Depends(requires(Permission.READ_METRICS))]
) -> Response:
    """Counters for Prometheus, for the addresses that the settings name."""
    site = services(request)
    address = request.client.host if request.client else ""
    if not is_within(address, site.settings.metrics_from):
        raise NotAllowed
    return Response(site.metrics.exposition(), media_type=CONTENT_TYPE)
