"""One participant, a process: `python -m tests.e2e.federation.participant STAGE INDEX DIES_AT`.

At SIGUSR1 it does what the file `order` in its home says: `die MOMENT` (see doom) or `clock HOURS`;
at SIGUSR2 it says where each of its threads stands.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import logging
import signal
import sys
import time
from pathlib import Path

from bafl.chain import calls
from bafl.chain.keys import KeySource, load_key
from bafl.node import Node, NodeOptions
from bafl.protocol import Options
from bafl.store.base import open_store
from bafl.types import Encoding, Role
from tests.e2e.federation import doom
from tests.e2e.federation.softmax import Softmax
from tests.e2e.federation.stage import Stage


async def run(node: Node, home: Path) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, obey, home / "order")
    await node.run(stop)


def obey(order: Path) -> None:
    verb, _, what = order.read_text().partition(" ")
    if verb == "die":
        doom.foretell_at(what)
    else:
        real = time.time
        time.time = lambda: real() + 3600 * float(what)


def main() -> None:
    stage = Stage(**json.loads(Path(sys.argv[1]).read_text()))
    index, dies_at = int(sys.argv[2]), int(sys.argv[3])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    faulthandler.register(signal.SIGUSR2)  # where it stands, when it is silent
    home = Path(stage.home) / f"home{index}"
    federation = stage.federation
    sender = federation.sender(load_key(KeySource()))
    if not federation.participant(sender.address).roles:
        stake = federation.parameters.min_stake_wei
        sender.send(calls.join(Role.TRAINER | Role.VALIDATOR, stake))
    if dies_at:
        doom.foretell(dies_at)
    node = Node(
        federation=federation,
        sender=sender,
        store=open_store(stage.store, f"node{index}"),
        task=Softmax(index, stage.count),
        manifest=stage.manifest,
        home=home,
        options=NodeOptions(
            Options(slot_s=0.2),
            poll_s=0.2,
            encoding=list(Encoding)[index % len(Encoding)],
            fetch_timeout_s=stage.fetch_timeout_s,
            retry_s=0.5,
        ),
    )
    asyncio.run(run(node, home))


if __name__ == "__main__":
    main()
