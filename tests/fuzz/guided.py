"""libFuzzer for one judge: what the forms in this folder share. atheris is no dependency of BAFL.

python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris web3 aiohttp numpy
PYTHONPATH=. /tmp/fuzz/bin/python -m tests.fuzz.payloads /tmp/corpus -max_total_time=600

The first argument that is no option is the folder where libFuzzer keeps its corpus; the options
are libFuzzer's. A crash is an input that the judge does not let pass, and
is left as a file.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import atheris


def fuzz(one: Callable[[bytes], None], longest: int, seeds: Mapping[str, bytes]) -> None:
    """Fuzz until the options say so.

    Args:
        one: judges one input; raises where something is wrong.
        longest: bytes of an input.
        seeds: inputs to start from, by name; written into the corpus.
    """
    corpus = next((Path(each) for each in sys.argv[1:] if not each.startswith("-")), None)
    if corpus is not None:
        corpus.mkdir(parents=True, exist_ok=True)
        for name, data in seeds.items():
            (corpus / name).write_bytes(data)
    tracemalloc.start()  # the judges look at what an input takes
    atheris.Setup([*sys.argv, f"-max_len={longest}", "-len_control=0"], one)
    atheris.Fuzz()
