"""What a payload past 300 MiB costs: `python -m benchmarks.large_payload` (`make large-payload`).

A model of 80 million weights in one tensor: 305 MiB as float32, 77 MiB as int8. Each step runs in
a process of its own, over real files and two Kubo daemons that know each other over loopback, and
writes benchmarks/results/large_payload.json: its seconds, and the most memory it had beyond what it
began with, in MiB (`memoryMib`: its own; pages of mapped files, which the system takes back when it
needs them, are not counted). What a step is given (the delta to write) is there before.

- `write`, `cid`, `put`: an update into a file, its root, into the first daemon;
- `fetch`, `gateway`: from the second daemon, and then from its gateway, block by block;
- `read`: every byte checked against the chain's header;
- `aggregate`: the next model out of two updates, written and synced;
- `copies`: two updates of a window compared with each other and with two earlier ones.

`kuboMib` is the most that each daemon had in memory, mapped files included.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np

from bafl.aggregate.rules import aggregate
from bafl.bench import originals
from bafl.codec.model import read_model, write_model
from bafl.codec.update import read_update, write_update
from bafl.devnet import Kubo
from bafl.manifest import Manifest, Metric
from bafl.store.base import open_store
from bafl.store.cid import cid, root_of
from bafl.types import Encoding, TensorSpec, UpdateHeader

RESULTS: Final = Path(__file__).parent / "results" / "large_payload.json"
WEIGHTS: Final = 80_000_000
PATIENCE_S: Final = 600.0
MIB: Final = 1 << 20

Spent = dict[str, float]


def manifest(weights: int) -> Manifest:
    """A federation whose model is one large tensor."""
    return Manifest(
        task="large",
        tensors=(TensorSpec("w", "F32", (weights,)),),
        genesis=cid(root_of(b"genesis")),
        metric=Metric("accuracy", "%", "higher"),
        size_limit=8 * weights,
    )


def header(encoding: Encoding, author: int) -> UpdateHeader:
    """What the chain says of an author's update."""
    return UpdateHeader(31337, "0x" + "Ab" * 20, f"0x{author:040X}", 0, encoding)


class Meter:
    """Time and memory of a block."""

    def __init__(self) -> None:
        self.spent: Spent = {}

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Measure from here to the end of the block."""
        before = _anonymous()
        most = [before]
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.005):
                most[0] = max(most[0], _anonymous())

        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            over.set()
            watcher.join()
        memory = (max(most[0], _anonymous()) - before) / MIB
        self.spent = {"seconds": round(seconds, 2), "memoryMib": round(memory, 1)}


def _anonymous() -> int:
    """Bytes of memory that are this process's own."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("this kernel does not say how much memory a process has")


def _delta(weights: int, author: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.random.default_rng(author).standard_normal(weights, np.float32)


def _file(folder: Path, encoding: Encoding, author: int) -> Path:
    return folder / f"{encoding.name.lower()}-{author}"


def write(folder: Path, weights: int, encoding: Encoding, author: int) -> Spent:
    delta, meter = _delta(weights, author), Meter()
    with meter():
        write_update(
            _file(folder, encoding, author), delta, header(encoding, author), manifest(weights)
        )
    return meter.spent


def write_base(folder: Path, weights: int) -> Spent:
    tensors, meter = {"w": _delta(weights, 0)}, Meter()
    with meter():
        write_model(folder / "model", manifest(weights), tensors)
    return meter.spent


def name(path: Path) -> Spent:
    meter = Meter()
    with meter():
        root_of(path)
    return meter.spent


def put(path: Path, store: str) -> Spent:
    opened, meter = open_store(store), Meter()
    with meter():
        opened.put(path)
    return meter.spent


def fetch(path: Path, store: str) -> Spent:
    opened, meter, root = open_store(store), Meter(), root_of(path)
    into = path.with_suffix(".out")
    with meter():
        opened.fetch(root, into, path.stat().st_size, PATIENCE_S)
    into.unlink()
    return meter.spent


def read(folder: Path, weights: int, encoding: Encoding) -> Spent:
    expected, meter = manifest(weights), Meter()
    with meter():
        read_update(_file(folder, encoding, 1), header(encoding, 1), expected)
    return meter.spent


def combine(folder: Path, weights: int, encoding: Encoding) -> Spent:
    whole, meter = manifest(weights), Meter()
    model = read_model(folder / "model", whole)
    updates = [read_update(_file(folder, encoding, i), header(encoding, i), whole) for i in (1, 2)]
    with meter():
        aggregate(model, updates, [600_000, 400_000], whole, folder / "next")
    (folder / "next").unlink()
    return meter.spent


def compare(folder: Path, weights: int, encoding: Encoding) -> Spent:
    whole, meter = manifest(weights), Meter()
    files = [
        read_update(_file(folder, encoding, 1 + i % 2), header(encoding, 1 + i % 2), whole)
        for i in range(4)
    ]
    with meter():
        originals(files, judged=2)
    return meter.spent


def measure(folder: Path, weights: int) -> dict[str, object]:
    """Run every step for both encodings; return what the results file says."""

    def alone(step: Callable[..., Spent], *given: object) -> Spent:
        # A process of its own: what one step left in memory is not counted as another's.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(step, *given).result()

    results: dict[str, object] = {"weights": weights}
    with Kubo(folder / "a", online=True) as here, Kubo(folder / "b", online=True) as there:
        there.connect(here.peer_multiaddr)
        results["writeModel"] = alone(write_base, folder, weights)
        for encoding in (Encoding.FLOAT32, Encoding.INT8):
            path = _file(folder, encoding, 1)
            steps = {"write": alone(write, folder, weights, encoding, 1)}
            alone(write, folder, weights, encoding, 2)
            steps["cid"] = alone(name, path)
            steps["put"] = alone(put, path, f"kubo:{here.multiaddr}")
            steps["fetch"] = alone(fetch, path, f"kubo:{there.multiaddr}")
            steps["gateway"] = alone(fetch, path, f"gateway:{there.gateway_url}")
            steps["read"] = alone(read, folder, weights, encoding)
            steps["aggregate"] = alone(combine, folder, weights, encoding)
            steps["copies"] = alone(compare, folder, weights, encoding)
            size = round(path.stat().st_size / MIB, 1)
            results[encoding.name.lower()] = {"mib": size, **steps}
            for author in (1, 2):
                _file(folder, encoding, author).unlink()
        results["kuboMib"] = [_most(daemon.process.pid) for daemon in (here, there)]
    return results


def _most(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return round(int(line.split()[1]) / 1024, 1)


def main() -> int:
    """Measure a model of this many weights (80 million where not said)."""
    weights = int(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), weights)
    text = json.dumps(results, indent=1)
    print(text)
    if weights == WEIGHTS:
        RESULTS.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
