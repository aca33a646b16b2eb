"""The second factor in the database: set up, checked once for each code, recovered, reset."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from ladnn.service.accounts import totp
from ladnn.service.accounts.permissions import Role
from ladnn.service.accounts.sealing import seal, unseal
from ladnn.service.accounts.tokens import hash_of
from ladnn.service.errors import NotAllowed
from ladnn.service.tables import Account
from ladnn.service.tables_accounts import Authenticator, RecoveryCode

LASTS = timedelta(minutes=10)
"""How long a secret that nobody confirmed is shown again to whoever it was made for."""
REQUIRED = frozenset({Role.CURATOR, Role.ADMINISTRATOR})


@dataclass(frozen=True, kw_only=True)
class State:
    """How it stands with an account's second factor.

    Attributes:
        required: by the role.
        ready: set up and confirmed.
        codes_left: recovery codes not used yet.
    """

    required: bool
    ready: bool
    codes_left: int


def state(session: Session, account: Account) -> State:
    """How it stands."""
    authenticator = _of(session, account)
    codes = select(func.count()).where(RecoveryCode.account_id == account.id)
    return State(
        required=account.role in REQUIRED,
        ready=authenticator is not None and authenticator.confirmed_at is not None,
        codes_left=session.scalar(codes) or 0,
    )


def prepare(  # who, when and for whom, beside what it is sealed with
    session: Session,
    account: Account,
    secret: bytes,
    *,
    holder: str,
    present: datetime,
    mistyped: bool = False,
) -> str:
    """The shared secret to show: to one holder the same until it is confirmed or `LASTS` are over.

    So a page that is opened again shows what was scanned, and nobody else who saw a secret of this
    account knows the one that is set up.

    Args:
        session: of the transaction.
        account: whose second factor it is; one that is confirmed is reset first.
        secret: of the site.
        holder: the session, or the attempt to sign in, to which it is shown.
        present: in UTC.
        mistyped: whether a wrong code was given just now: then it stays, however old it is.

    Raises NotAllowed when it is confirmed already: then it is not shown again.
    """
    kept = _of(session, account)
    if kept is not None and kept.confirmed_at is not None:
        raise NotAllowed
    mark = hash_of(holder)
    if kept is not None:
        shown, _, made = unseal(kept.sealed, secret, _purpose(account)).partition(" ")
        whose, _, since = made.partition(" ")
        if whose == mark:
            age = present.timestamp() - int(since)
            if mistyped or age <= LASTS.total_seconds():
                return shown
    shared = totp.new_secret()
    made = f"{shared} {mark} {int(present.timestamp())}"
    sealed = seal(made, secret, _purpose(account))
    if kept is None:
        session.add(Authenticator(account_id=account.id, sealed=sealed, last_step=0))
    else:
        kept.sealed = sealed
    session.flush()
    return shared


def confirm(
    session: Session, account: Account, code: str, secret: bytes, present: datetime
) -> list[str] | None:
    """The recovery codes, once, when the first code is right; None when it is not."""
    kept = _of(session, account)
    if kept is None or kept.confirmed_at is not None:
        return None
    if not _use(session, kept, account, code, secret, present):
        return None
    kept.confirmed_at = present
    return renew_recovery_codes(session, account)


def check(session: Session, account: Account, code: str, secret: bytes, present: datetime) -> bool:
    """Whether that is the code of now, or a recovery code; either counts once."""
    kept = _of(session, account)
    if kept is None or kept.confirmed_at is None:
        return False
    # First the codes that need no secret: where that was changed, they are what is left.
    return _recover(session, account, code) or _use(session, kept, account, code, secret, present)


def renew(
    session: Session, account: Account, code: str, secret: bytes, present: datetime
) -> list[str] | None:
    """New recovery codes, given a code that is right; None when it is not."""
    right = check(session, account, code, secret, present)
    return renew_recovery_codes(session, account) if right else None


def renew_recovery_codes(session: Session, account: Account) -> list[str]:
    """New recovery codes, shown once; the old ones are void."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account.id))
    codes = totp.new_recovery_codes()
    hashes = [hash_of(code) for code in codes]
    session.add_all(RecoveryCode(account_id=account.id, code_hash=one) for one in hashes)
    return codes


def reset(session: Session, account: Account) -> None:
    """Forget the second factor and its recovery codes."""
    for table in (Authenticator, RecoveryCode):
        session.execute(delete(table).where(table.account_id == account.id))


def _of(session: Session, account: Account) -> Authenticator | None:
    query = select(Authenticator).where(Authenticator.account_id == account.id)
    return session.scalars(query).one_or_none()


def _use(  # noqa: PLR0917  # all of them are needed to check one code
    session: Session,
    kept: Authenticator,
    account: Account,
    code: str,
    secret: bytes,
    present: datetime,
) -> bool:
    """Whether the code is right; in one statement it is marked as used, also by two at a time."""
    shared = unseal(kept.sealed, secret, _purpose(account)).partition(" ")[0]
    step = totp.matching_step(shared, code, present, kept.last_step)
    if step is None:
        return False
    used = (
        update(Authenticator)
        .where(Authenticator.id == kept.id, Authenticator.last_step < step)
        .values(last_step=step)
    )
    return bool(session.execute(used).rowcount)  # type: ignore[attr-defined]  # an update has one


def _recover(session: Session, account: Account, code: str) -> bool:
    digest = hash_of(totp.tidy_recovery_code(code))
    used = delete(RecoveryCode).where(
        RecoveryCode.account_id == account.id, RecoveryCode.code_hash == digest
    )
    return bool(session.execute(used).rowcount)  # type: ignore[attr-defined]  # a delete has one


def _purpose(account: Account) -> str:
    return f"totp {account.public_id}"
