"""One participant of the demo, a process of its own: joins, and runs its node until told to stop.

This is what a hospital's own script could look like; only `cast` is the demo's.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch

from bafl.chain import calls
from bafl.chain.connection import Connection
from bafl.chain.federation import Federation
from bafl.chain.keys import KeySource, load_key
from bafl.node import Node, NodeOptions
from bafl.protocol import Options
from bafl.store.base import open_store
from bafl.store.shelf import Shelf
from bafl.tasks.ready import build
from bafl.types import Role
from examples.demo.cast import Paced, judge_of, poisoned
from examples.demo.plays import PLAYS
from examples.demo.stage import Stage


def main() -> None:
    """Run participant `sys.argv[2]` of the stage described in the file `sys.argv[1]`."""
    stage, index = Stage.read(Path(sys.argv[1])), int(sys.argv[2])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    node = _node(stage, index)
    asyncio.run(_run(node))


async def _run(node: Node) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await node.run(stop)


def _node(stage: Stage, index: int) -> Node:
    play = PLAYS[stage.play]
    part = play.cast[index]
    home = stage.home / part.slug
    federation = Federation(Connection(stage.rpc, stage.chain_id), stage.federation)
    sender = federation.sender(load_key(KeySource()))
    if not federation.participant(sender.address).roles:
        stake = federation.parameters.min_stake_wei
        sender.send(calls.join(Role.TRAINER | Role.VALIDATOR, stake))
    store = open_store(stage.store, part.slug)
    manifest = stage.manifest(federation, Shelf(home / "payloads", store, stage.size_limit))
    make = poisoned if part.poisons else build
    task = make(play.task, play.load(), replace(play.data, participant=index))
    return Node(
        federation=federation,
        sender=sender,
        store=store,
        task=Paced(task, stage.training_s * part.slower),
        manifest=manifest,
        home=home,
        options=NodeOptions(Options(slot_s=0.5), poll_s=stage.poll_s, retry_s=2.0),
        judge=judge_of(part),
    )


if __name__ == "__main__":
    main()
