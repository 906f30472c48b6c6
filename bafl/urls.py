"""Addresses of HTTP services as people write them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_GATEWAY = re.compile(r"https?://[^\s/@?#\\]+(/[^\s?#\\]*)?")
_RPC = re.compile(r"https?://[^\s/]+(/\S*)?", re.IGNORECASE)
_PARTS = re.compile(r"((?:[^/?#]*//)?)(?:[^/?#]*@)?([^/?#]*)(.*)", re.DOTALL)


def masked(text: str) -> str:
    """Return an address, or what was meant as one, without user, path and query.

    Services take their keys there, so errors and logs show the rest only.
    """
    match = _PARTS.fullmatch(text)
    assert match is not None
    scheme, host, rest = match.groups()
    return f"{scheme}{host}{'/…' if rest.strip('/') else rest}"


def gateway_url(text: str) -> str:
    """Return an IPFS gateway's address in one spelling: without `/ipfs` or a slash at its end.

    Raises ValueError saying what is needed.
    """
    needed = "an IPFS gateway's http:// or https:// address, such as 'http://127.0.0.1:8080'"
    if not _GATEWAY.fullmatch(text):
        raise ValueError(f"needs {needed}, without password, '?' or '#'")
    try:
        host = _host(text)
    except ValueError as error:
        raise ValueError(f"needs {needed} ({error})") from None
    if not host:
        raise ValueError(f"needs {needed}")
    return text.rstrip("/").removesuffix("/ipfs").rstrip("/")


def rpc_url(text: str) -> str:
    """Return an RPC endpoint's address as it is given. Raises ValueError saying what is needed."""
    try:
        if _RPC.fullmatch(text) and _host(text):
            return text
    except ValueError:  # its text may hold a part of a password
        pass
    raise ValueError("needs an http:// or https:// address, such as 'http://127.0.0.1:8545'")


def _host(text: str) -> str:
    parts = urlsplit(text)
    host, _port = parts.hostname or "", parts.port
    host.encode("idna")
    return host
