"""Where the proxy listens on the host."""

from __future__ import annotations

from bluegreen.model.errors import ProxyFailed


def listen_port(listen: str) -> tuple[str, int]:
    """(address, port) of ``[ADDRESS:]PORT``; the address is "" for all. Raises `ProxyFailed`."""
    address, _, port = listen.rpartition(":")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 65536):
        raise _bad(listen)
    if not address:
        return "", int(port)
    from ipaddress import ip_address

    try:
        found = ip_address(address.removeprefix("[").removesuffix("]"))
    except ValueError as error:
        raise _bad(listen) from error
    return (f"[{found}]" if found.version == 6 else str(found)), int(port)


def _bad(listen: str) -> ProxyFailed:
    return ProxyFailed("proxy.value", f"{listen!r} is no place to listen: it is [ADDRESS:]PORT")
