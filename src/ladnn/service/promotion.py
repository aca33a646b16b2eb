"""The champion of a site changed by hand: promoted or rolled back."""

from collections.abc import Callable

from ladnn.errors import BundleError, OvertakenError, RegistryError, UnreachableError
from ladnn.registry import Registry
from ladnn.service import models
from ladnn.service.accounts.principals import Principal
from ladnn.service.context import Services
from ladnn.service.errors import BadRequest, StorageAway

MAX_REASON = 2000


def promote(
    site: Services, principal: Principal, label: str, why: str, champion: str | None
) -> str:
    """Make a version the champion, and give its label.

    `champion` is the one that was looked at, "" where there was none; None is not asked.

    Raises NotFound for an unknown version, BadRequest for the champion itself, another champion by
    now, a version that cannot answer here, or without a reason, StorageAway where its files cannot
    be reached.
    """

    def step(registry: Registry) -> str:
        models.known(registry.versions(), label)
        registry.open(label).card.operating_point(site.settings.operating_point)
        registry.promote(label, by=principal.owner, why=why, instead_of=champion)
        return label

    return _change(site, principal, why, step)


def rollback(site: Services, principal: Principal, why: str, champion: str | None) -> str:
    """Bring back the champion before, and give its label, which is empty where there was none.

    `champion` is as of `promote`.

    Raises BadRequest where there is no champion or another one by now, the one before cannot be
    opened, or without a reason.
    """
    return _change(
        site,
        principal,
        why,
        lambda registry: registry.rollback(by=principal.owner, why=why, instead_of=champion),
    )


def _change(site: Services, principal: Principal, why: str, step: Callable[[Registry], str]) -> str:
    if "\0" in why:  # which PostgreSQL cannot keep
        raise BadRequest("error.fields")
    try:
        return step(models.registry_of(site, principal))
    except UnreachableError as error:
        raise StorageAway from error
    except OvertakenError as error:  # and one rollback of two people would be two
        key = "models.overtaken" if error.champion else "models.overtaken_by_none"
        raise BadRequest(key, champion=error.champion) from error
    except (RegistryError, BundleError) as error:
        raise BadRequest("models.refused_change") from error
