"""Addresses of HTTP services as people write them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_FORM = re.compile(r"https?://[^\s/@?#\\]+(/[^\s?#\\]*)?")


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
    if not _FORM.fullmatch(text):
        raise ValueError(f"needs {needed}, without password, '?' or '#'")
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as error:
        raise ValueError(f"needs {needed} ({error})") from None
    if not host:
        raise ValueError(f"needs {needed}")
    return text.rstrip("/").removesuffix("/ipfs").rstrip("/")
