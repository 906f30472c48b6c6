"""What pins the Solidity libraries to Python: frozen cases under tests/vectors.

`python -m tests.reference.vectors` writes them anew; tests say when that is due.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from tests.reference.tally import (
    HIGHEST,
    LOWEST,
    MALFORMED,
    NO_CONSENSUS,
    NO_SEAT,
    PPM,
    UNAVAILABLE,
    Input,
    entropy_shares,
    pack_scores,
    tally,
)

FOLDER = Path(__file__).parent.parent / "vectors"
WAD = 10**18
HOSTILE = (-32766, -10_001, 9_991, 32_767)


def tally_vectors() -> list[dict[str, Any]]:
    """Windows and their tallies, by name; scores packed as on the chain."""
    cases = []
    for name, window in {**_told_windows(), **_random_windows()}.items():
        given = asdict(window) | {"scores": [hex(pack_scores(row)) for row in window.scores]}
        output = asdict(tally(window))
        cases.append({"name": name, **_spelt(given), **_spelt(output)})
    return cases


def cid_vectors() -> list[dict[str, Any]]:
    """Digests, codecs and their CIDs, written out from the CID specification."""
    rng = random.Random(1)
    digests = [bytes(32), b"\xff" * 32, bytes(range(32)), *(rng.randbytes(32) for _ in range(13))]
    cases = []
    for index, digest in enumerate(digests):
        codec = (0x55, 0x70, 0x00, 0x7F)[index % 4]
        text = base64.b32encode(bytes([0x01, codec, 0x12, 0x20]) + digest).decode()
        cases.append(
            {
                "digest": "0x" + digest.hex(),
                "codec": codec,
                "cid": "b" + text.rstrip("=").lower(),
            }
        )
    return cases


def entropy_shares_vectors() -> list[dict[str, Any]]:
    """Indicators of the updates of a window, one list after the other, and the shares in WAD."""
    rng = random.Random(2)
    told = [
        [[5]],
        [[3, 3, 3], [7, 7, 7]],
        [[0, 0, 0, 1], [1, 2, 3, 4]],
        [[1, 1, 1, 10**9], [1, 1, 1, 1]],
        [[1, 2], [2, 1]],
        [[90] + [20] * 8 + [10] * 7, [9] + [2] * 8 + [1] * 7],
        [[1, 2, 3, 4, 5], [10**30] * 5, [9, 9, 9, 9, 10]],
        [[10**6] * 15 + [10**6 + 1], [1] * 16],
    ]
    drawn = [
        [[rng.randint(0, 10 ** rng.randint(1, 9)) for _ in range(n)] for _ in range(k)]
        for n, k in ((rng.randint(1, 16), rng.randint(1, 3)) for _ in range(32))
    ]
    return [
        {
            "indicators": len(indicators),
            "values": [str(x) for xs in indicators for x in xs],
            "shares": [
                str(round(Fraction(share) * WAD))
                for share in entropy_shares([[Fraction(x) for x in xs] for xs in indicators])
            ],
        }
        for indicators in told + drawn
    ]


def commitment_vectors() -> list[dict[str, Any]]:
    """Scores, the salt that a key gives them and their commitment, spelt out word by word.

    A commitment is keccak256(abi.encode(chainid, contract, window, tag, validator, scores, keep,
    salt)), a salt HMAC-SHA256 by the key over a label and the first five of these.
    """
    key, other = bytes(range(1, 33)), b"\x5a" * 32
    one, two = (
        0x5FBDB2315678AFECB367F032D93F642F64180AA3,
        0x70997970C51812DC3A010C7D01B50E0D17DC79C8,
    )
    me = 0xF39FD6E51AAD88F6F4CE6AB8827279CFFFB92266
    full = [(-1) ** i * 613 * i for i in range(16)]
    told: list[tuple[str, bytes, tuple[int, int, int, int, int], list[int], int]] = [
        ("one update", key, (31_337, one, 1, 1, me), [120], 1),
        (
            "codes and extremes",
            key,
            (31_337, one, 7, 0x0123456789ABCDEF, me),
            [UNAVAILABLE, MALFORMED, LOWEST, HIGHEST, 0, -1, 1],
            3,
        ),
        ("a full window", other, (11_155_111, two, 2**32 - 1, 2**64 - 1, two), full, 16),
        ("nothing kept", other, (1, two, 3, 0, me), [-9000] * 3, 0),
    ]
    cases = []
    for name, secret, what, scores, keep in told:
        packed = b"".join(score.to_bytes(2, "big", signed=True) for score in scores)
        words = b"".join(number.to_bytes(32, "big") for number in what)
        salt = hmac.new(secret, b"BAFL score salt v1" + words, hashlib.sha256).digest()
        head = words + (8 * 32).to_bytes(32, "big") + keep.to_bytes(32, "big") + salt
        tail = len(packed).to_bytes(32, "big") + packed.ljust(-(-len(packed) // 32) * 32, b"\0")
        chain_id, contract, window, tag, validator = what
        cases.append(
            {
                "name": name,
                "key": "0x" + secret.hex(),
                "chainId": str(chain_id),
                "federation": to_checksum_address(f"0x{contract:040x}"),
                "window": str(window),
                "tag": str(tag),
                "validator": to_checksum_address(f"0x{validator:040x}"),
                "scores": scores,
                "packedScores": "0x" + packed.hex(),
                "keep": keep,
                "salt": "0x" + salt.hex(),
                "commitment": "0x" + keccak(head + tail).hex(),
            }
        )
    return cases


def numbers_vectors() -> list[dict[str, Any]]:
    """Numbers below 2^24, and three bytes of each, big-endian."""
    rng = random.Random(4)
    told = [[], [0], [2**24 - 1], [300_000, 10**6, 0], [1] * 32]
    drawn = [[rng.randrange(2**24) for _ in range(rng.randint(1, 32))] for _ in range(11)]
    return [
        {
            "values": numbers,
            "packed": "0x" + "".join(f"{number:06x}" for number in numbers),
        }
        for numbers in told + drawn
    ]


def rules_vectors() -> list[dict[str, Any]]:
    """Numbers of the protocol that both languages name, because both need them."""
    return [
        {
            "ppm": PPM,
            "ring": 8,
            "maxUpdates": 16,
            "startReputation": 300_000,
            "noSeat": NO_SEAT,
            "raw": 0x55,
            "dagPb": 0x70,
            "lowestScore": str(LOWEST),
            "highestScore": str(HIGHEST),
            "unavailable": str(UNAVAILABLE),
            "malformed": str(MALFORMED),
            "noConsensus": str(NO_CONSENSUS),
        }
    ]


VECTORS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "tally.json": tally_vectors,
    "cid.json": cid_vectors,
    "entropy_shares.json": entropy_shares_vectors,
    "commitment.json": commitment_vectors,
    "numbers.json": numbers_vectors,
    "rules.json": rules_vectors,
}


def text_of(name: str) -> str:
    """What the file of that name should hold."""
    cases = ",\n".join(json.dumps(case) for case in VECTORS[name]())
    return f'{{"cases": [\n{cases}\n]}}\n'


def _spelt(values: dict[str, Any]) -> dict[str, Any]:
    """Integers beyond 2^53 as text, which JSON readers keep exact."""
    return {
        key: [str(x) if isinstance(x, int) else x for x in value]
        if isinstance(value, list | tuple)
        else (value if isinstance(value, bool) else str(value))
        for key, value in values.items()
    }


def window_of(
    scores: list[list[int]],
    *,
    weights: list[int] | None = None,
    keeps: list[int] | None = None,
    authors: list[int] | None = None,
    trust_samples: bool = False,
) -> Input:
    """A window that is plain but for what is given; validators sit in seats 0, 1, ….

    authors: the seat of each update's author, by default nobody's.
    """
    m, n = len(scores), len(scores[0])
    weights = weights or [100] * m
    authors = authors or [NO_SEAT] * n
    weight_of = dict(enumerate(weights)) | {NO_SEAT: 0}
    return Input(
        scores=tuple(tuple(row) for row in scores),
        weights=tuple(weights),
        keeps=tuple(keeps or [n] * m),
        seats=tuple(range(m)),
        active_weight=sum(weights),
        author_seat=tuple(authors),
        author_weight=tuple(weight_of[seat] for seat in authors),
        reputations=(300_000,) * n,
        samples=(100,) * n,
        staleness=(0,) * n,
        trust_samples=trust_samples,
        reject_below=-600,
    )


def _told_windows() -> dict[str, Input]:
    bad, gone = MALFORMED, UNAVAILABLE
    return {
        "one validator judges its own update": window_of([[120]], authors=[0]),
        "an author's own score does not count": window_of(
            [[9000, -700], [-700, 100], [-800, 100]], authors=[0, NO_SEAT]
        ),
        "nobody gave a real score": window_of([[gone, bad], [bad, gone]]),
        "malformed by three of three": window_of([[bad, 10], [bad, 20], [bad, 30]]),
        "malformed by two is not enough": window_of([[bad, 10], [bad, 20]]),
        "malformed without its author": window_of(
            [[500, 10], [bad, 20], [bad, 30], [bad, 40]], authors=[0, NO_SEAT]
        ),
        "a code against a majority is overruled": window_of([[gone, 10], [20, bad], [30, 30]]),
        "half the weight in real scores is no consensus": window_of(
            [[100, 1], [gone, 2]], weights=[50, 50]
        ),
        "just over half of it is": window_of([[100, 1], [gone, 2]], weights=[51, 50]),
        "ties keep the earlier": window_of([[50, 50, 50], [50, 50, 50]], keeps=[2, 2]),
        "nothing is kept": window_of([[50, 60], [50, 60]], keeps=[0, 0]),
        "the floor holds": window_of([[-600, -601, 0, 1]] * 3),
        "everybody agrees": window_of([[10, 20, 30, 40, 50]] * 4),
        "one says the opposite": window_of([[10, 20, 30, 40, 50]] * 3 + [[50, 40, 30, 20, 10]]),
        "one says the same of all": window_of([[10, 20, 30, 40, 50]] * 3 + [[7] * 5]),
        "the others see no difference": window_of([[5] * 5] * 3 + [[50, 40, 30, 20, 10]]),
        "three updates in common are too few": window_of([[10, 20, 30]] * 4),
        "extreme scores": window_of([[LOWEST, HIGHEST, 0, -5000]] * 3),
        "scores no reveal lets through": window_of([list(HOSTILE), [10, 20, 30, 40]] * 2),
    }


def _random_windows() -> dict[str, Input]:
    rng = random.Random(3)
    return {f"drawn {index}": _random_window(rng) for index in range(31)}


def _random_window(rng: random.Random) -> Input:
    m, n = rng.choice([(4, 5), (5, 16), (9, 16), (32, 16), (rng.randint(1, 32), 7)])
    merit = [rng.randint(-80, 300) * 10 for _ in range(n)]
    weights = [rng.randint(1, 2 ** rng.choice([3, 60, 96])) for _ in range(m)]
    seats = rng.sample(range(32), m)
    weight_of = dict(zip(seats, weights, strict=True)) | {NO_SEAT: 0}
    authors = [rng.choice([NO_SEAT, *seats]) for _ in range(n)]
    coded = rng.choice([0, 0, 0.1, 0.5])

    def score(i: int) -> int:
        if rng.random() < coded:
            return rng.choice([UNAVAILABLE, MALFORMED, MALFORMED])
        return max(LOWEST, min(HIGHEST, merit[i] + 10 * rng.randint(-60, 60)))

    return Input(
        scores=tuple(tuple(score(i) for i in range(n)) for _ in range(m)),
        weights=tuple(weights),
        keeps=tuple(rng.randint(n // 2, n) for _ in range(m)),
        seats=tuple(seats),
        active_weight=sum(weights) + rng.choice([0, min(weights)]),
        author_seat=tuple(authors),
        author_weight=tuple(weight_of[seat] for seat in authors),
        reputations=tuple(rng.randint(150_000, PPM) for _ in range(n)),
        samples=tuple(rng.randint(0, 5000) for _ in range(n)),
        staleness=tuple(rng.choice([0, 0, 1, 5, 65_535]) for _ in range(n)),
        trust_samples=rng.random() < 0.5,
        reject_below=-600,
    )


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    for name in VECTORS:
        (FOLDER / name).write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()
