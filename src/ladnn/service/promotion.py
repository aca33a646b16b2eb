"""The champion of a site changed by hand: promoted or rolled back."""

from collections.abc import Callable

from ladnn.errors import BundleError, RegistryError, UnreachableError
from ladnn.registry import Registry
from ladnn.service import models
from ladnn.service.accounts.principals import Principal
from ladnn.service.context import Services
from ladnn.service.errors import BadRequest, StorageAway

MAX_REASON = 2000


def promote(site: Services, principal: Principal, label: str, why: str) -> str:
    """Make a version the champion, and give its label.

    Raises NotFound for an unknown version, BadRequest for the champion itself, a version that
    cannot be opened, or without a reason, StorageAway where its files cannot be reached.
    """

    def step(registry: Registry) -> str:
        models.known(registry.versions(), label)
        registry.promote(label, by=principal.owner, why=why)
        return label

    return _change(site, principal, why, step)


def rollback(site: Services, principal: Principal, why: str) -> str:
    """Bring back the champion before, and give its label, which is empty where there was none.

    Raises BadRequest where there is no champion, the one before cannot be opened, or without a
    reason.
    """
    return _change(
        site,
        principal,
        why,
        lambda registry: registry.rollback(by=principal.owner, why=why),
    )


def _change(site: Services, principal: Principal, why: str, step: Callable[[Registry], str]) -> str:
    if "\0" in why:  # which PostgreSQL cannot keep
        raise BadRequest("error.fields")
    try:
        return step(models.registry_of(site, principal))
    except UnreachableError as error:
        raise StorageAway from error
    except (RegistryError, BundleError) as error:
        raise BadRequest("models.refused_change") from error
