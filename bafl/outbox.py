"""A participant's transactions: the call that an action is, and its way to the chain.

Whatever is signed is in the journal before it is sent, so a crash in between neither loses nor
doubles it.
"""

from __future__ import annotations

import logging
import time

from bafl import protocol
from bafl.chain import calls
from bafl.chain.calls import Call
from bafl.chain.errors import NonceTaken
from bafl.chain.federation import Federation
from bafl.chain.history import History
from bafl.chain.sender import Sender, SignedTransaction
from bafl.errors import ContractRefusal
from bafl.journal import Journal, SignedNote
from bafl.protocol import Action, Scored

log = logging.getLogger("bafl.node")


class Outbox:
    """What one participant sends to one federation.

    timeout_s: how long a transaction may take; confirmations: blocks until it counts.
    """

    def __init__(
        self,
        federation: Federation,
        sender: Sender,
        journal: Journal,
        timeout_s: float,
        confirmations: int,
    ) -> None:
        self.federation = federation
        self.sender = sender
        self.journal = journal
        self.timeout_s = timeout_s
        self.confirmations = confirmations

    def call(self, action: Action, history: History) -> Call | None:
        """Return the transaction an action is, or None for work of one's own."""
        match action:
            case protocol.Submit(t):
                return calls.submit_update(t.base_version, t.root, t.encoding, t.samples)
            case protocol.Commit(window, tag, scored, last):
                commit = calls.commit_scores(window, tag, self._commitment(window, tag, scored))
                reveal = self._reveal(window, tag, scored)
                return calls.together(commit, reveal) if last else commit
            case protocol.Reveal(window, tag, scored, last):
                reveal = self._reveal(window, tag, scored)
                revealers = history.revealers(window, self.sender.address)
                tally = calls.tally(window, history.authors(window), revealers)
                return calls.together(reveal, tally) if last else reveal
            case protocol.Attest(window, tag, model):
                return calls.attest_model(window, tag, model.root.digest, model.metric)
            case protocol.Tally(window):
                return calls.tally(window, history.authors(window), history.revealers(window))
            case protocol.Settle(window):
                return calls.settle(window)
            case protocol.Discard(window):
                return calls.discard(window)
            case protocol.Seal():
                return calls.seal()
            case protocol.Wake():
                return calls.wake()
            case protocol.TakeSeat():
                return calls.take_seat()
            case _:
                return None

    def _reveal(self, window: int, tag: int, scored: Scored) -> Call:
        salt = self._salt(window, tag)
        return calls.reveal_scores(window, tag, scored.scores, scored.keep, salt)

    def _commitment(self, window: int, tag: int, scored: Scored) -> bytes:
        return calls.commitment(
            self.federation.chain_id,
            self.federation.address,
            window,
            tag,
            self.sender.address,
            scored.scores,
            scored.keep,
            self._salt(window, tag),
        )

    def _salt(self, window: int, tag: int) -> bytes:
        account, federation = self.sender.account, self.federation
        return calls.salt(
            account.key, federation.chain_id, federation.address, window, tag, self.sender.address
        )

    def send(self, name: str, call: Call) -> int:
        """Send a call and wait for it; return the block it is in.

        Raises ContractRefusal, NonceTaken, JournalError, OutsideError.
        """
        return self._finish(name, self.sign(name, call))

    def sign(self, name: str, call: Call) -> SignedTransaction:
        """Sign a call and write it into the journal; it is not sent yet. Raises like `send`."""
        signed = self.sender.sign(call)
        try:
            self.journal.sign(SignedNote(name, signed.nonce, signed.raw, signed.hash))
        except BaseException:
            self.sender.forget(signed)  # never to be sent, so its nonce is free
            raise
        return signed

    def resume(self) -> int:
        """Bring transactions left under way (a crash, a dead RPC) to their end.

        Returns the newest block that has one of them, or 0. Raises JournalError, OutsideError, and
        UsageError where the journal holds what is no transaction of this account and chain.
        """
        newest = 0
        for note in self.journal.unsettled():
            log.info("%s: resuming %s (nonce %d)", self.sender.address, note.name, note.nonce)
            try:
                block = self._finish(note.name, self.sender.restore(note.raw, note.name))
            except (ContractRefusal, NonceTaken) as refusal:
                log.info("%s: %s came to nothing: %s", self.sender.address, note.name, refusal)
            else:
                newest = max(newest, block)
        return newest

    def _finish(self, name: str, signed: SignedTransaction) -> int:
        def replaced(new: SignedTransaction) -> None:
            self.journal.sign(SignedNote(name, new.nonce, new.raw, new.hash))

        try:
            self.sender.broadcast(signed)
            receipt = self.sender.wait(
                signed,
                deadline_s=time.time() + self.timeout_s,
                confirmations=self.confirmations,
                on_replace=replaced,
            )
        except (ContractRefusal, NonceTaken):
            self.journal.settle(signed.nonce)
            raise
        self.journal.settle(signed.nonce)
        return receipt.block
