"""A federation's past for tests: real payloads in a real store, and the log that names them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from bafl.chain.calls import pack_scores
from bafl.chain.fold import History
from bafl.chain.logs import Event
from bafl.codec.model import flatten, read_model, unflat, write_model
from bafl.codec.update import write_update
from bafl.manifest import Manifest
from bafl.replay import Federal, recompute
from bafl.store.base import Store
from bafl.store.cid import root_of
from bafl.store.shelf import Shelf
from bafl.types import Encoding, Root, UpdateHeader, Verdict, VoidReason

Vector = npt.NDArray[np.float32]

FEDERATION = "0x" + "Ab" * 20
CHAIN_ID = 31337
LIMIT = 1 << 20


def author(number: int) -> str:
    return f"0x{number:040X}"


class Past:
    """Tells a history event by event, as the contract would, and makes the payloads it names."""

    def __init__(self, folder: Path, store: Store, manifest: Manifest, genesis: Any) -> None:
        """genesis: the state of version 0."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.store = store
        self.federal = Federal(CHAIN_ID, FEDERATION, manifest)
        self.shelf = Shelf(folder / "shelf", store, LIMIT)
        self.block = 1
        self.told: list[tuple[str, dict[str, Any]]] = []
        write_model(folder / "model", manifest, genesis)
        self.history = History(self._put("model"))
        self.tell("FederationCreated", model=self.history.genesis.digest)
        self.genesis = flatten(genesis, manifest)

    def tell(self, name: str, **arguments: Any) -> None:
        self.block += 1
        self.told.append((name, arguments))
        self.history.apply(Event(name, MappingProxyType(arguments), self.block, 0, bytes(32)))

    def record_of_it(self) -> str:
        """Everything told, as Python's literals: `retold` makes the same history of it."""
        return repr((self.history.genesis.digest, self.history.genesis.codec, self.told))

    def submit(
        self,
        window: int,
        delta: Vector,
        by: int,
        base: int | None = None,
        encoding: Encoding = Encoding.INT8,
        publish: bool = True,
    ) -> Root:
        """An update of author `by`. base: of the latest version where not given."""
        base = len(self.history.versions) - 1 if base is None else base
        header = UpdateHeader(CHAIN_ID, FEDERATION, author(by), base, encoding)
        write_update(self.folder / "update", delta, header, self.federal.manifest)
        root = self._put("update") if publish else root_of(self.folder / "update")
        self.record(window, root, by, base, encoding)
        return root

    def record(
        self, window: int, root: Root, by: int, base: int = 0, encoding: int = Encoding.INT8
    ) -> None:
        """An update on the chain, whatever its root stands for."""
        self.tell(
            "UpdateSubmitted",
            updateId=16 * window + len(self.history.updates(window)),
            participant=author(by),
            baseVersion=base,
            rootDigest=root.digest,
            rootCodec=root.codec,
            encoding=int(encoding),  # `record_of_it` writes literals
            samples=10,
        )

    def seal(self, window: int) -> None:
        self.tell("WindowSealed", window=window, updates=len(self.history.updates(window)))

    def begin(self, window: int) -> None:
        self.tell(
            "TurnBegan",
            window=window,
            baseVersion=len(self.history.versions) - 1,
            tag=window,
            active=0,
            weights=(),
        )

    def tally(self, window: int, shares_ppm: Sequence[int]) -> None:
        """Those with a share are paid, the others rejected."""
        n = len(self.history.updates(window))
        verdicts = [Verdict.PAID if share else Verdict.REJECTED for share in shares_ppm]
        self.tell(
            "WindowTallied",
            window=window,
            keep=n,
            consensus=bytes(32),
            verdicts=pack_scores(verdicts).ljust(32, b"\0"),
            shares=b"".join(share.to_bytes(3, "big") for share in shares_ppm),
            agreement=[],
            overruled=0,
        )

    def finalize(self, window: int, root: Root | None = None) -> Root:
        """A version: what the window makes of the latest, published, or another root."""
        base = self.history.versions[-1].root
        made = recompute(self.federal, self.history, window, base, self.shelf)
        self.shelf.publish(made)
        version = len(self.history.versions)
        digest = (root or made).digest
        self.tell("VersionFinalized", version=version, window=window, rootDigest=digest)
        return made

    def settle(self, window: int) -> None:
        self.tell(
            "WindowSettled",
            window=window,
            isFinal=self.history.version_of(window) is not None,
            trainers=[],
            trainerReputations=b"",
            validators=[],
            validatorReputations=b"",
        )

    def void(self, window: int) -> None:
        self.tell("WindowVoided", window=window, reason=int(VoidReason.TOO_FEW_UPDATES))

    def version(self, window: int, deltas: Sequence[Vector], shares_ppm: Sequence[int]) -> Root:
        """A whole window of updates by authors 1, 2, ..., from first to last."""
        for by, delta in enumerate(deltas, start=1):
            self.submit(window, delta, by)
        self.seal(window)
        self.begin(window)
        self.tally(window, shares_ppm)
        root = self.finalize(window)
        self.settle(window)
        return root

    def put_model(self, weights: Vector) -> Root:
        """Another model, in the store."""
        base = read_model(self.shelf.path(self.history.genesis), self.federal.manifest)
        write_model(self.folder / "model", self.federal.manifest, unflat(weights, base))
        return self._put("model")

    def put_bytes(self, content: bytes) -> Root:
        (self.folder / "bytes").write_bytes(content)
        return self._put("bytes")

    def _put(self, name: str) -> Root:
        return self.store.put(self.folder / name)


def retold(record: str) -> History:
    """The history that `Past.record_of_it` was asked for."""
    digest, codec, told = ast.literal_eval(record)
    history = History(Root(digest, codec))
    for block, (name, arguments) in enumerate(told, start=2):
        history.apply(Event(name, MappingProxyType(arguments), block, 0, bytes(32)))
    return history
