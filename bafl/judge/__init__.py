"""How a validator judges a window: score, keep vote, copy check. Pure functions on arrays."""

from bafl.judge.copies import copies, cosines, tiny
from bafl.judge.score import Candidate, Verdicts, keep_vote, score_window

__all__ = [
    "Candidate",
    "Verdicts",
    "copies",
    "cosines",
    "keep_vote",
    "score_window",
    "tiny",
]
