"""Which addresses are this machine's own."""

import ipaddress


def is_loopback(address: str) -> bool:
    """Whether only this machine has an address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address == "localhost"
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
