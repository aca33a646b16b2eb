"""The composition root of the site: settings in, application out; all objects are made here."""

import hashlib
import multiprocessing.process
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ladnn import __version__
from ladnn.findings import RESEARCH_NOTICE
from ladnn.runtime import Predictor
from ladnn.service import csrf, description, models, retention
from ladnn.service.accounts.oidc import Provider
from ladnn.service.accounts.principals import count
from ladnn.service.admission import Admission
from ladnn.service.blobs import Blobs
from ladnn.service.champion import Champion, build_predictor
from ladnn.service.context import Decoder, Services
from ladnn.service.database import Database
from ladnn.service.decoding import DecodingPool
from ladnn.service.draining import Drainer
from ladnn.service.drawings import Drawings
from ladnn.service.duties import Caretaker
from ladnn.service.edge import Edge
from ladnn.service.i18n import read_catalogues
from ladnn.service.limits import Limits
from ladnn.service.logs import configure_logs, log
from ladnn.service.metrics import Metrics
from ladnn.service.problems import MAX_FIELD_KIB, MAX_FIELDS, add_handlers
from ladnn.service.routes import (
    about,
    account,
    admin,
    api_batches,
    api_contributions,
    api_models,
    api_predictions,
    batch,
    contribute,
    operation,
    oversight,
    preferences,
    provider,
    results,
    review,
    sign_in,
    single,
)
from ladnn.service.routes import models as model_pages
from ladnn.service.settings import Settings, read_settings
from ladnn.service.tables import Secret, now
from ladnn.service.watching import Watcher

ROUTERS = (
    operation.router,
    api_predictions.router,  # early, because they are looked through in this order
    api_predictions.studies,
    preferences.router,
    single.router,
    results.router,
    model_pages.router,
    api_models.router,
    about.router,
    sign_in.router,
    provider.router,
    account.router,
    admin.router,
    oversight.router,
    contribute.router,
    review.router,
    api_contributions.router,
    batch.router,
    api_batches.router,
)


def from_environment() -> FastAPI:
    """The application of a worker process, whose settings are in its environment."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()
    settings = read_settings(environment=os.environ)
    configure_logs(settings)
    return create_app(settings)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """End this worker process as SIGTERM does once its parent is gone, were it by SIGKILL.

    It would go on without anybody to end it, and the next site could not listen.
    """
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def create_app(
    settings: Settings,
    predictor: Callable[[], Predictor] | None = None,
    decoder: Decoder | None = None,
) -> FastAPI:
    """The application on a database that `migrations.upgrade` has prepared.

    Args:
        settings: of the site.
        predictor: instead of the one that the settings name.
        decoder: instead of a pool of its own; closed when the application ends.
    """
    site = make_services(settings, predictor, decoder)
    app = _App(
        title="LA-DNN",
        version=__version__,
        description=f"Chest CT images in, predictions out. {RESEARCH_NOTICE}",
        openapi_url=None,  # `routes/operation.py` gives it; FastAPI's own pages load from elsewhere
        dependencies=[Depends(count), Depends(csrf.verify)],
        form_limits={
            "max_files": settings.files,
            "max_fields": MAX_FIELDS,
            "max_part_size": MAX_FIELD_KIB << 10,
        },
        lifespan=partial(_lifespan, site),
    )
    app.state.services = site
    app.state.opened = {
        route.path  # type: ignore[attr-defined]  # what has methods has a path
        for router in ROUTERS
        for route in router.routes
        if "GET" in route.methods  # type: ignore[attr-defined]
    }
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", _Static(directory=Path(__file__).parent / "static"), name="static")
    add_handlers(app)
    app.add_middleware(Edge, site=site)
    return app


class _App(FastAPI):
    """The application, which describes itself whole."""

    def openapi(self) -> dict[str, Any]:
        """The description of the interface, made once."""
        if self.openapi_schema is None:
            settings = self.state.services.settings
            self.openapi_schema = description.complete(super().openapi(), ROUTERS, settings)
        return self.openapi_schema


def make_services(
    settings: Settings,
    predictor: Callable[[], Predictor] | None = None,
    decoder: Decoder | None = None,
) -> Services:
    """The objects that requests share."""
    database = Database(settings.database_url)
    secret = _secret(settings, database)
    return Services(
        settings=settings,
        database=database,
        blobs=Blobs(settings.storage, settings.s3_endpoint),
        decoder=decoder or DecodingPool(secret),
        predictor=predictor or _champion(settings, database),
        catalogues=read_catalogues(),
        metrics=Metrics(),
        limits=Limits(settings, database, now),
        watcher=Watcher(),
        drawings=Drawings(),
        admission=Admission(),
        provider=Provider(settings) if settings.oidc_issuer else None,
        clock=now,
        secret=secret,
    )


def _champion(settings: Settings, database: Database) -> Champion:
    registry = models.site_registry(settings, database)
    return Champion(
        locate=lambda: registry.champion() or "",
        build=lambda label: build_predictor(
            settings, models.open_bundle(settings, registry, label)
        ),
        report=lambda name, error: log().error("bundle", bundle=name, exc_info=error),
    )


def _secret(settings: Settings, database: Database) -> bytes:
    """What signs and seals: of the settings, or made by the first replica to start."""
    if settings.secret:
        return hashlib.sha256(settings.secret.encode()).digest()
    made = os.urandom(32)

    def find(session: Session) -> bytes:
        database.lock(session, "secrets")
        found = session.scalar(select(Secret.value).where(Secret.name == "cookies"))
        if found is None:
            session.add(Secret(name="cookies", value=made))
        return found or made

    return database.write(find)


@asynccontextmanager
async def _lifespan(site: Services, _app: FastAPI) -> AsyncIterator[None]:
    caretaker = Caretaker(partial(retention.purge_when_due, site))
    drainer = Drainer(site)
    caretaker.start()
    drainer.start()
    yield
    caretaker.stop()
    drainer.stop()
    site.decoder.close()
    if isinstance(site.predictor, Champion):
        site.predictor.close()
    site.database.dispose()


class _Static(StaticFiles):
    """Static files, kept by the browser: their addresses change with their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a year's life."""
        response = await super().get_response(path, scope)
        if response.status_code in (200, 304):
            response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response
