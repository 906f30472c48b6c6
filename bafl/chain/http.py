"""HTTP to an RPC that may be slow, silent or hostile: every answer has an end and a size."""

from __future__ import annotations

import time
from typing import Any

import requests
import urllib3

MAX_ANSWER_BYTES = 64 * 1024 * 1024


class AnswerTooLong(requests.RequestException):
    """An answer beyond what the session takes."""


class BoundedSession(requests.Session):
    """A session whose answers end: at most `max_bytes`, and within the request's timeout in all.

    `requests` bounds the wait for each piece only, so a server that drips would hold us for ever.
    """

    def __init__(self, max_bytes: int = MAX_ANSWER_BYTES) -> None:
        super().__init__()
        self.max_bytes = max_bytes
        adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=16)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """As `requests.Session.request`, with the body read here, within the bounds."""
        timeout = float(kwargs["timeout"])
        ends = time.monotonic() + timeout
        kwargs["stream"] = True
        # A redirect could send a request, and with it an API key, anywhere.
        kwargs["allow_redirects"] = False
        response = super().request(*args, **kwargs)
        try:
            body = bytearray()
            # Not `iter_content`: it would wait for whole pieces, however slowly they come.
            while piece := response.raw.read1(64 * 1024, decode_content=True):
                body += piece
                if len(body) > self.max_bytes:
                    raise AnswerTooLong(f"an answer of more than {self.max_bytes:,} bytes")
                if time.monotonic() > ends:
                    raise requests.exceptions.ReadTimeout(
                        f"the answer had not ended after {timeout:g} s"
                    )
            response._content = bytes(body)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.exceptions.ReadTimeout(str(error)) from error
        except urllib3.exceptions.HTTPError as error:
            raise requests.exceptions.ConnectionError(str(error)) from error
        finally:
            response.close()
        return response
