"""Test equipment: a proxy before a real chain, which records, limits, drops, delays and lies."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import requests

Json = dict[str, Any]
Forward = Callable[[], Json]


class Drop(Exception):
    """Raised by a rule: close the connection without an answer."""


@dataclass
class Raw:
    """Given by a rule: answer with exactly this."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Rule = Callable[[Json, Forward], Json | Raw]


class Proxy:
    """Forwards JSON-RPC to `target`; `rule(request, forward)` says what comes back."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.requests: list[Json] = []
        self.rule: Rule | None = None
        self.open = True
        self._session = requests.Session()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    if not proxy.open:
                        raise Drop
                    answer = proxy.answer(json.loads(body))
                except (Drop, requests.RequestException):
                    self.close_connection = True
                    return
                if not isinstance(answer, Raw):
                    answer = Raw(json.dumps(answer).encode())
                try:
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    if not {"Content-Length", "Transfer-Encoding"} & answer.headers.keys():
                        self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)
                    if int(answer.headers.get("Content-Length", 0)) > len(answer.body):
                        self.close_connection = True
                except OSError:
                    self.close_connection = True  # the client had enough

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass  # clients that hang up are the point of some tests

        def listen(port: int) -> Server:
            server = Server(("127.0.0.1", port), Handler)
            server.daemon_threads = True
            return server

        self._listen = listen
        self._server = listen(0)
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = self._serving()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._session.close()

    def stop(self) -> None:
        """Refuse connections, and answer nothing on those that stand."""
        if self.open:
            self.open = False
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def restart(self) -> None:
        """Listen again, at the same address."""
        self.stop()
        self._server = self._listen(self.port)
        self._thread = self._serving()
        self.open = True
        self._thread.start()

    def _serving(self) -> threading.Thread:
        return threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def answer(self, request: Json) -> Json | Raw:
        """Record a request and answer it by the rule."""
        self.requests.append(request)

        def forward() -> Json:
            answer: Json = self._session.post(self.target, json=request, timeout=30).json()
            return answer

        return forward() if self.rule is None else self.rule(request, forward)

    def methods(self) -> list[str]:
        """The methods asked for so far, in order."""
        return [request["method"] for request in self.requests]


def error(request: Json, code: int, message: str, data: Any = None) -> Json:
    """A JSON-RPC error."""
    body: Json = {"code": code, "message": message}
    if data is not None:
        body["data"] = data
    return {"jsonrpc": "2.0", "id": request["id"], "error": body}


def result(request: Json, value: Any) -> Json:
    """A JSON-RPC result."""
    return {"jsonrpc": "2.0", "id": request["id"], "result": value}


def only(method: str, then: Rule) -> Rule:
    """A rule for one method; all others are forwarded."""

    def rule(request: Json, forward: Forward) -> Json | Raw:
        return then(request, forward) if request["method"] == method else forward()

    return rule
