"""The OpenAPI description: who may ask, and what a body that cannot be read is answered."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute

from ladnn.service import csrf
from ladnn.service.accounts.api_keys import PREFIX, SCOPES
from ladnn.service.accounts.permissions import PERMISSIONS, Permission, Role
from ladnn.service.accounts.principals import requires, session_cookie, visitor_cookie
from ladnn.service.schemas import problem
from ladnn.service.settings import Settings

KEY, SESSION, VISITOR = "key", "session", "visitor"
"""The ways to say who asks: an API key, and the cookies of an account and of a visitor."""

_IN_A_BROWSER = f"In a browser, what changes something needs the header {csrf.HEADER} too."


def complete(
    description: dict[str, Any], routers: Sequence[APIRouter], settings: Settings
) -> dict[str, Any]:
    """Add to what FastAPI tells of the routes what it does not know.

    Args:
        description: as FastAPI made it; changed in place.
        routers: whose routes it is of.
        settings: of the site, by which its cookies are named.
    """
    parts = description.setdefault("components", {})
    parts["securitySchemes"] = _schemes(settings)
    for operation, permission in _operations(description["paths"], routers):
        operation["security"] = _security(permission)
        kinds = operation.get("requestBody", {}).get("content", ())
        if kinds:
            operation["responses"]["400"] = problem("A body that cannot be read")
            operation["responses"]["408"] = problem("A body that stopped halfway")
        if "application/json" in kinds:
            operation["responses"]["415"] = problem("A body that is not declared as JSON")
    return description


def _schemes(settings: Settings) -> dict[str, Any]:
    key = f"An API key, which an account makes for itself with scopes and an end: {PREFIX}..."
    session = f"What a browser has after signing in. {_IN_A_BROWSER}"
    visitor = f"By which a browser without an account finds its own again. {_IN_A_BROWSER}"
    return {
        KEY: {"type": "http", "scheme": "bearer", "description": key},
        SESSION: _cookie(session_cookie(settings), session),
        VISITOR: _cookie(visitor_cookie(settings), visitor),
    }


def _cookie(name: str, description: str) -> dict[str, str]:
    return {"type": "apiKey", "in": "cookie", "name": name, "description": description}


def _operations(
    paths: Mapping[str, Any], routers: Sequence[APIRouter]
) -> Iterator[tuple[dict[str, Any], Permission]]:
    """Every operation that is described, with what its route asks for."""
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.path_format in paths:
                for method in route.methods or ():
                    yield paths[route.path_format][method.lower()], _permission(route)


def _permission(route: APIRoute) -> Permission:
    asked = (one.call for one in route.dependant.dependencies)
    return next(one.permission for one in asked if isinstance(one, requires))


def _security(permission: Permission) -> list[dict[str, list[str]]]:
    """Any one of these; the empty one is nobody. A key needs the scopes that are listed."""
    scope = [str(permission)] if permission in SCOPES else []
    known: list[dict[str, list[str]]] = [{KEY: scope}, {SESSION: []}]
    return [{}, *known, {VISITOR: []}] if permission in PERMISSIONS[Role.VISITOR] else known
