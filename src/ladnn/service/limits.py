"""How much one account or address may ask for: a bucket of tokens for each, in every process.

Each worker process counts for itself, because a count in the database would cost every request a
write. So the site as a whole lets through at most the limit times the number of its processes.
"""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request

from ladnn.service.accounts.permissions import Permission
from ladnn.service.addresses import read_address
from ladnn.service.errors import TooMany
from ladnn.service.settings import Settings

_DAY = 86_400.0  # seconds
MOST_BUCKETS = 50_000  # some 10 MB; the one that was quiet longest goes first


class Limiter:
    """Allows `most` of something to each name within `seconds`, all at once, refilled evenly."""

    def __init__(
        self, most: float, seconds: float = 60, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`most` 0 allows everything; `clock` gives seconds."""
        self._most, self._seconds, self._clock = float(most), seconds, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, when
        self._lock = threading.Lock()

    def take(self, name: str, amount: float = 1, key: str | None = None) -> None:
        """Take so many tokens of that name; never more than all of them are asked for.

        Raises TooMany, with the sentence `key` and the seconds until there are as many, when fewer
        are left.
        """
        if not self._most:
            return
        rate, present, amount = self._most / self._seconds, self._clock(), min(amount, self._most)
        with self._lock:
            tokens, then = self._buckets.pop(name, (self._most, present))
            tokens = min(self._most, tokens + (present - then) * rate)
            enough = tokens >= amount
            self._buckets[name] = (tokens - amount if enough else tokens, present)
            if len(self._buckets) > MOST_BUCKETS:
                self._buckets.popitem(last=False)
        if not enough:
            raise TooMany(key, seconds=int((amount - tokens) / rate) + 1)


class Limits:
    """The limits of the settings: on all requests, and on tests by accounts and by visitors.

    Of visitors it is also counted how much they send, because all of it is stored.
    """

    def __init__(self, settings: Settings) -> None:
        self._requests = Limiter(settings.requests_per_minute)
        self._tests = Limiter(settings.tests_per_minute)
        self._visitor_tests = Limiter(settings.visitor_tests_per_minute)
        self._visitor_bytes = Limiter(settings.visitor_mib_per_day << 20, seconds=_DAY)

    def take(self, owner: str, permission: Permission, request: Request) -> None:
        """Count a request for its account, or for its address where `owner` is empty.

        Raises TooMany when there were too many in the last minute.
        """
        if permission is Permission.OPERATE:
            return  # who watches the site is never turned away
        name = owner or address_of(request)
        self._requests.take(name)
        if permission is not Permission.TEST or request.method != "POST":
            return
        (self._tests if owner else self._visitor_tests).take(name)
        if not owner:
            sent = getattr(request.state, "received", 0)
            self._visitor_bytes.take(name, sent, "error.too_much")


def address_of(request: Request) -> str:
    """The address of the caller, of IPv6 the network of 64 bits that one line usually has.

    Uvicorn puts there what a trusted proxy says of it, and the proxy itself for any other.
    """
    host = request.client.host if request.client else ""
    address = read_address(host)
    if address is None or address.version == 4:
        return str(address or host)  # a socket's name
    return str(ipaddress.ip_network((address, 64), strict=False))
