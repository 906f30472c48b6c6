"""HTTP to a gateway that may be slow, silent or hostile: every answer has an end and a size."""

from __future__ import annotations

import asyncio
import contextlib
import http
import socket
import ssl
import threading
import urllib.request
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from bafl.threads import in_thread
from bafl.urls import masked

T = TypeVar("T")

MAX_REDIRECTS = 3
CONNECT_S = 10.0

_REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. body: of status 200 only, at most one byte more than was allowed.

    retry_after_s: how long the server asks to be left alone; 0 if it does not say.
    """

    status: int
    body: bytes = b""
    retry_after_s: float = 0.0

    @property
    def phrase(self) -> str:
        """The status as a person reads it."""
        with contextlib.suppress(ValueError):
            return f"{self.status} ({http.HTTPStatus(self.status).phrase})"
        return str(self.status)


class HttpSession:
    """GETs over a connection that is kept between them; a context manager, for one thread.

    Nothing outlasts the deadline: neither a name that does not resolve, nor a server that takes the
    connection and is silent, or drips. Cookies, .netrc and passwords are never sent; proxies are
    taken from the environment. deadline: of time.monotonic().
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        # A loop of its own, in a thread of its own: the caller may be in one already.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._session = self._await(_open(self._deadline))
        return self

    def __exit__(self, *_: object) -> None:
        self._await(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def get(self, url: str, max_bytes: int) -> Answer:
        """Ask for a URL, and for where it redirects to on the same site.

        Raises TimeoutError at the deadline, ConnectionError saying what the server did otherwise.
        """
        return self._await(self._get(url, max_bytes))

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _get(self, url: str, max_bytes: int) -> Answer:
        try:
            async with asyncio.timeout_at(self._deadline):
                home = url
                for _ in range(MAX_REDIRECTS + 1):
                    async with self._ask(url) as response:
                        if response.status not in _REDIRECTS:
                            return await _answer(response, max_bytes)
                        url = onward(home, url, response.headers.get("Location", ""))
        except aiohttp.ClientError as error:
            raise ConnectionError(_cause(error)) from error
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionError(f"failed ({error.strerror or error})") from error
        except ValueError as error:
            raise ConnectionError(f"sends what is no HTTP ({error})") from error
        raise ConnectionError(f"redirects more than {MAX_REDIRECTS} times")

    @contextlib.asynccontextmanager
    async def _ask(self, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._session.get(url, allow_redirects=False, proxy=_proxy(url)) as response:
            try:
                yield response
            except BaseException:
                response.close()
                raise
            if not response.content.is_eof():
                response.close()  # what was not read is not wanted


async def _open(deadline: float) -> aiohttp.ClientSession:
    # Less than all the time there is: so a machine that is away is told from a silent one.
    connect_s = min(CONNECT_S, max(0.0, deadline - asyncio.get_running_loop().time()) / 2)
    return aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=1, resolver=_Resolver()),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={
            "Accept": "application/vnd.ipld.raw",
            "Accept-Encoding": "identity",
            "User-Agent": "bafl",
        },
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_s or None),
    )


async def _answer(response: aiohttp.ClientResponse, max_bytes: int) -> Answer:
    if response.status != http.HTTPStatus.OK:
        after = response.headers.get("Retry-After", "")
        return Answer(response.status, retry_after_s=float(after) if _is_seconds(after) else 0.0)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ConnectionError("compresses its answers though asked not to")
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > max_bytes:
            break
    return Answer(response.status, bytes(body[: max_bytes + 1]))


def _is_seconds(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 7


def onward(home: str, url: str, location: str) -> str:
    """Return where a redirect leads, if it stays with the gateway that was chosen.

    A gateway may send us to another path, to a host below its own (as those do that give each CID
    its own), and from http to https. Anywhere else would let it choose whom we talk to: other
    machines of our own network, or a file. home: the URL first asked for.
    Raises ConnectionError.
    """
    try:
        target = urlsplit(urljoin(url, location))
        at, before, first = _place(target.geturl()), _place(url), _place(home)
    except ValueError:
        raise ConnectionError("redirects to what is no address") from None
    same_site = at[1] == first[1] or at[1].endswith("." + first[1])
    upgrade = (before[0], at[0]) == ("http", "https")
    ports_fit = at[2] == before[2] or (upgrade and at[2] == 443)
    if (
        not location
        or not same_site
        or not (at[0] == before[0] or upgrade)
        or not ports_fit
        or target.username is not None
    ):
        # Its path may repeat ours, in which a key can be.
        raise ConnectionError(
            f"redirects to {masked(target.geturl())[:80]!r}, which is not its own: not followed"
        )
    return target.geturl()


def _place(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80}.get(parts.scheme, 443)


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _cause(error: aiohttp.ClientError) -> str:
    """What the server did, for the middle of a sentence."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "has an unknown host"
    if isinstance(error, aiohttp.ClientSSLError | ssl.CertificateError):
        return "cannot prove who it is (TLS)"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "took no connection in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot be reached ({error.os_error.strerror or error.os_error})"
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return "hung up before its answer ended"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"sends what is no HTTP ({error.message[:80]!r})"
    return f"failed ({type(error).__name__})"


class _Resolver(AbstractResolver):
    """Names to addresses, in a thread that nobody has to wait for."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        # Kubo gives each CID a host below localhost, which not every system resolves (RFC 6761).
        name = "localhost" if host.endswith(".localhost") else host
        found = await in_thread(lambda: socket.getaddrinfo(name, port, family, socket.SOCK_STREAM))
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        pass
