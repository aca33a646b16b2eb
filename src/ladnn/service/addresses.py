"""Addresses of callers: told apart as numbers, an IPv4 address in IPv6 being the IPv4 address."""

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED_BITS = 96  # before the IPv4 address in ::ffff:a.b.c.d (RFC 4291, 2.5.5.2)


def read_address(host: str) -> Address | None:
    """The address in the text; None where it is another name, such as that of a socket."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def read_network(text: str) -> Network:
    """The network in a text such as 10.0.0.0/8; of a single address, the network of it alone.

    Raises ValueError for anything else, also where bits behind the network's are set.
    """
    network = ipaddress.ip_network(text)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def both_ways(networks: Iterable[str]) -> list[str]:
    """The networks, those of IPv4 in IPv6 too: so whoever listens on `::` is told of their callers.

    For programs that do not tell the two to be one, as `is_within` does; "*", for all, stays.
    """
    given = list(networks)
    if "*" in given:
        return ["*"]
    read = [read_network(text) for text in given]
    mapped = [
        f"::ffff:{network.network_address}/{network.prefixlen + _MAPPED_BITS}"
        for network in read
        if network.version == 4
    ]
    return [*map(str, read), *mapped]


def is_within(host: str, networks: Iterable[str]) -> bool:
    """Whether a caller's address lies in one of these networks."""
    address = read_address(host)
    return address is not None and any(address in read_network(text) for text in networks)
