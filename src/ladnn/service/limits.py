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
from ladnn.service.errors import TooMany
from ladnn.service.settings import Settings

MOST_BUCKETS = 50_000  # some 10 MB; the one that was quiet longest goes first


class Limiter:
    """Allows `per_minute` requests to each name, as many at once, refilled evenly."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_minute` 0 allows everything; `clock` gives seconds."""
        self._per_minute, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, when
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Take one token of that name.

        Raises TooMany, with the seconds until there is one, when none is left.
        """
        if not self._per_minute:
            return
        rate, present = self._per_minute / 60, self._clock()
        with self._lock:
            tokens, then = self._buckets.pop(name, (float(self._per_minute), present))
            tokens = min(float(self._per_minute), tokens + (present - then) * rate)
            enough = tokens >= 1
            self._buckets[name] = (tokens - enough, present)
            if len(self._buckets) > MOST_BUCKETS:
                self._buckets.popitem(last=False)
        if not enough:
            raise TooMany(seconds=int((1 - tokens) / rate) + 1)


class Limits:
    """The limits of the settings: on all requests, and on tests by accounts and by visitors."""

    def __init__(self, settings: Settings) -> None:
        self._requests = Limiter(settings.requests_per_minute)
        self._tests = Limiter(settings.tests_per_minute)
        self._visitor_tests = Limiter(settings.visitor_tests_per_minute)

    def take(self, owner: str, permission: Permission, request: Request) -> None:
        """Count a request for its account, or for its address where `owner` is empty.

        Raises TooMany when there were too many in the last minute.
        """
        if permission is Permission.OPERATE:
            return  # who watches the site is never turned away
        name = owner or address_of(request)
        self._requests.take(name)
        if permission is Permission.TEST and request.method == "POST":
            (self._tests if owner else self._visitor_tests).take(name)


def address_of(request: Request) -> str:
    """The address of the caller, of IPv6 the network of 64 bits that one line usually has.

    Uvicorn puts there what a trusted proxy says of it, and the proxy itself for any other.
    """
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host  # a socket's name
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False))
