"""A proxy before Kubo's RPC API that can be slow, and can give other bytes than were asked for."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self

_PIECE = 64 * 1024


class DaemonProxy:
    """Carries bytes between nodes and a daemon. stall_s: seconds before each piece of an answer
    to `cat`. false: whether such answers are another payload's.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.stall_s = 0.0
        self.false = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.multiaddr = f"/ip4/127.0.0.1/tcp/{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            daemon = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            client.close()
            return
        daemon.settimeout(None)
        reads = threading.Event()
        for source, sink, answers in ((client, daemon, False), (daemon, client, True)):
            threading.Thread(
                target=self._carry, args=(source, sink, reads, answers), daemon=True
            ).start()

    def _carry(
        self, source: socket.socket, sink: socket.socket, reads: threading.Event, answers: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                if not answers and b"POST /api/v0/" in piece:
                    (reads.set if b"/api/v0/cat" in piece else reads.clear)()
                if answers and reads.is_set():
                    time.sleep(self.stall_s)
                    if self.false:
                        piece = piece.replace(b"__metadata__", b"__metaDATA__")
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
