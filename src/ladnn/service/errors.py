"""The errors of the site; `problems` gives each its status."""

from collections.abc import Collection

from ladnn.errors import LadnnError


def places(error: BaseException) -> list[str]:
    """The last lines that an error passed through: file, number and function, nothing of values."""
    found, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return found[-12:]


class DecoderError(Exception):
    """A mistake of ours in a decoding worker, of which the log tells where it was made.

    It is no LadnnError, for whoever sent the file can do nothing about it.
    """


class ServiceError(LadnnError):
    """Something that goes back to the caller; the text is one sentence of the catalogues.

    Attributes:
        status: of the answer.
        key: of the sentence in the catalogues.
        values: what stands in its placeholders.
    """

    status = 400
    key = "error.request"

    def __init__(self, key: str | None = None, **values: object) -> None:
        self.key = key or self.key
        self.values = values
        super().__init__(self.key)


class Malformed(ServiceError):
    """A body that cannot be read at all."""

    key = "error.body"


class NotJson(ServiceError):
    """A body that is not declared as what the operation reads."""

    status = 415
    key = "error.not_json"


class BadRequest(ServiceError):
    """A request that cannot be carried out as it stands."""

    status = 422


def require_choice(name: str, value: str, allowed: Collection[str]) -> None:
    """Raise BadRequest, which lists the `allowed` values, for any other of the field `name`."""
    if value not in allowed:
        raise BadRequest("error.choice", name=name, allowed=", ".join(filter(None, allowed)))


class NotAllowed(ServiceError):
    """The caller is known, or need not be, and may not do this."""

    status = 403
    key = "error.forbidden"


class SignInNeeded(ServiceError):
    """Only for those who have an account, and the caller has not signed in."""

    status = 401
    key = "error.sign_in"


class NotFound(ServiceError):
    """There is no such thing, or none that this caller may know of."""

    status = 404
    key = "error.not_found"


class TooMany(ServiceError):
    """Too many requests or guesses from one account or address.

    Attributes:
        headers: Retry-After, in seconds.
    """

    status = 429
    key = "error.too_many"

    def __init__(self, key: str | None = None, *, seconds: int) -> None:
        super().__init__(key, seconds=seconds)
        self.headers = {"retry-after": str(seconds)}


class TooLarge(ServiceError):
    """The request is larger than the settings allow."""

    status = 413
    key = "error.too_large"


class StorageFull(ServiceError):
    """There is no room to store what was sent; nothing of it was kept."""

    status = 507
    key = "error.full"


class DatabaseAway(ServiceError):
    """The database cannot be reached just now."""

    status = 503
    key = "error.away"


class Busy(ServiceError):
    """So much is being drawn or tested that this request did not get its turn."""

    status = 503
    key = "error.busy"


class StorageAway(ServiceError):
    """The store of the files cannot be reached just now."""

    status = 503
    key = "error.away"


class ImageLost(ServiceError):
    """The store can be reached, and an image that the site keeps is not in it any more."""

    status = 500
    key = "datasets.error_lost"


class ProviderAway(ServiceError):
    """The provider does not answer, or not as OpenID Connect has it."""

    status = 502
    key = "oidc.error.away"


class ProviderRefused(ServiceError):
    """The provider's answer is refused: another state, a wrong signature, an old token."""

    status = 403
    key = "oidc.error.refused"


class SealBroken(ServiceError):
    """What was sealed was sealed with another secret, or changed since."""

    status = 500
    key = "error.sealed"
