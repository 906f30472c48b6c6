"""How a validator judges a window: score, keep vote, copy check. Pure functions on arrays."""

from bafl.judge.copies import Authored, copied, cosine, tiny
from bafl.judge.score import Candidate, Verdicts, keep_vote, score_window

__all__ = [
    "Authored",
    "Candidate",
    "Verdicts",
    "copied",
    "cosine",
    "keep_vote",
    "score_window",
    "tiny",
]
