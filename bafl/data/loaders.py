"""Load the ready data sets as arrays.

Features are scaled by fixed numbers (physical ranges, as each set's description publishes them),
never by statistics of the rows: no participant could know those of the others.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bafl.data.base import DataSet, Samples, split_off
from bafl.data.sources import SOURCES, find
from bafl.errors import DataError, TaskError

_TEST_FRACTION: Final = 0.2
_TEST_SEED: Final = 0


def load(name: str) -> DataSet:
    """Load a ready data set by name: one of `names()`.

    Raises TaskError for an unknown name, DataError where the data cannot be had.
    """
    if name not in _LOADERS:
        raise TaskError(f"there is no data set {name!r}: choose from {', '.join(names())}")
    return _LOADERS[name]()


def names() -> tuple[str, ...]:
    """Return the names of the ready data sets."""
    return tuple(sorted(_LOADERS))


def _digits() -> DataSet:
    """1,797 handwritten digits, 8 x 8 (UCI, bundled with scikit-learn)."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return _with_test("digits", pixels / 16, labels, None, classes=10)


def _breast_cancer() -> DataSet:
    """569 tumours, 30 measures of cell nuclei (Wisconsin, bundled with scikit-learn)."""
    from sklearn.datasets import load_breast_cancer

    rows, labels = load_breast_cancer(return_X_y=True)
    # The ranges are those of the table in the set's own description.
    low, high = rows.min(axis=0), rows.max(axis=0)
    return _with_test("breast-cancer", 4 * (rows - low) / (high - low) - 1, labels, None, classes=2)


_HEART_COLUMNS: Final = 14
_HEART_NUMERIC: Final = {0: (54, 10), 3: (130, 20), 4: (240, 60), 7: (140, 25), 9: (1, 1)}
"""Column: (centre, scale) of age, resting blood pressure, cholesterol, heart rate, ST depression.
The first two of these below 1 mean missing: nobody's blood pressure or cholesterol is 0."""
_HEART_FLAGS: Final = (1, 5, 8)
_HEART_CHOICES: Final = {
    2: (1, 2, 3, 4),
    6: (0, 1, 2),
    10: (1, 2, 3),
    11: (0, 1, 2, 3),
    12: (3, 6, 7),
}


def _heart() -> DataSet:
    """920 patients of four hospitals (UCI Heart Disease); natural owner: the hospital."""
    features: list[list[float]] = []
    labels: list[int] = []
    owners: list[int] = []
    for owner, file in enumerate(SOURCES["heart-disease"]):
        text = find("heart-disease", file).read_text("ascii")
        for row in csv.reader(io.StringIO(text)):
            if len(row) != _HEART_COLUMNS:
                raise DataError(f"{file.name} has a row of {len(row)} cells instead of 14")
            cells = [math.nan if cell == "?" else float(cell) for cell in row]
            features.append(_heart_features(cells))
            labels.append(int(cells[13] > 0))
            owners.append(owner)
    return _with_test("heart", np.array(features), np.array(labels), np.array(owners), classes=2)


def _heart_features(cells: Sequence[float]) -> list[float]:
    """Scale numbers (missing: the centre, and a mark), one-hot choices (missing: all zero)."""
    out: list[float] = []
    for column, (centre, scale) in _HEART_NUMERIC.items():
        value = cells[column]
        missing = math.isnan(value) or (column in (3, 4) and value == 0)
        out += [0.0 if missing else (value - centre) / scale, float(missing)]
    for column in _HEART_FLAGS:
        out.append(0.0 if math.isnan(cells[column]) else 2 * cells[column] - 1)
    for column, choices in _HEART_CHOICES.items():
        out += [float(cells[column] == choice) for choice in choices]
    return out


_CREDIT_BANDS: Final = (30_000, 50_000, 80_000, 140_000, 200_000, 240_000, 360_000)
"""Upper ends of the customer segments by credit limit, of about equal size."""


def _credit() -> DataSet:
    """30,000 credit card clients (UCI, Taiwan 2005); natural owner: a band of the credit limit."""
    (file,) = SOURCES["credit-taiwan"]
    raw = gzip.decompress(find("credit-taiwan", file).read_bytes()).decode("ascii")
    rows = np.loadtxt(io.StringIO(raw), delimiter=",", skiprows=1, dtype=np.float64)
    limit, sex, education, marriage, age = rows[:, 1:6].T
    delays, bills, payments = rows[:, 6:12], rows[:, 12:18], rows[:, 18:24]
    columns = [
        (np.log(limit) - 11.5)[:, None],
        (2 * sex - 3)[:, None],
        *((education == choice)[:, None] for choice in (1, 2, 3)),
        *((marriage == choice)[:, None] for choice in (1, 2)),
        ((age - 35) / 10)[:, None],
        delays / 2,
        bills / limit[:, None],
        np.log1p(payments) / 5 - 1,
    ]
    owners = np.searchsorted(_CREDIT_BANDS, limit).astype(np.int64)
    labels = rows[:, 24].astype(np.int64)
    return _with_test("credit", np.hstack(columns), labels, owners, classes=2)


_AI4I_BLOCK: Final = 1_000


def _ai4i() -> DataSet:
    """10,000 states of a milling machine (AI4I 2020); natural owner: a block of 1,000 rows.

    The five failure mode columns are dropped: they tell the target.
    """
    (file,) = SOURCES["ai4i-2020"]
    text = find("ai4i-2020", file).read_text("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    scales = {
        "Air temperature [K]": (300, 2),
        "Process temperature [K]": (310, 1.5),
        "Rotational speed [rpm]": (1540, 180),
        "Torque [Nm]": (40, 10),
        "Tool wear [min]": (108, 64),
    }
    features = np.array(
        [
            [float(row["Type"] == kind) for kind in "LMH"]
            + [(float(row[key]) - centre) / scale for key, (centre, scale) in scales.items()]
            for row in rows
        ]
    )
    labels = np.array([int(row["Machine failure"]) for row in rows])
    return _with_test("ai4i", features, labels, np.arange(len(rows)) // _AI4I_BLOCK, classes=2)


def _images(name: str) -> DataSet:
    """60,000 + 10,000 images of 28 x 28 in ten classes, in MNIST's format."""
    train_images, train_labels, test_images, test_labels = (_idx(name, index) for index in range(4))
    return DataSet(
        name,
        Samples(_pixels(train_images), train_labels.astype(np.int64)),
        Samples(_pixels(test_images), test_labels.astype(np.int64)),
        classes=10,
    )


def _idx(name: str, index: int) -> NDArray[np.uint8]:
    """Read a file of LeCun's idx format (unsigned bytes; big-endian sizes)."""
    path = find(name, SOURCES[name][index])
    data = gzip.decompress(path.read_bytes())
    if data[:3] != b"\0\0\x08":
        raise DataError(f"{path} is no idx file of unsigned bytes")
    shape = np.frombuffer(data, ">u4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(tuple(shape))


def _pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.reshape(len(images), 1, *images.shape[1:]).astype(np.float32) / np.float32(255)


def _with_test(
    name: str,
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    owners: NDArray[np.int64] | None,
    classes: int,
) -> DataSet:
    """Set a fifth aside as the central test part, alike in classes and natural owners."""
    labels = labels.astype(np.int64)
    whole = Samples(features.astype(np.float32), labels, owners)
    strata = labels if owners is None else labels + classes * owners
    train, test = split_off(strata, _TEST_FRACTION, _TEST_SEED)
    return DataSet(name, whole.take(train), whole.take(test), classes)


_LOADERS: Final[dict[str, Callable[[], DataSet]]] = {
    "ai4i": _ai4i,
    "breast-cancer": _breast_cancer,
    "credit": _credit,
    "digits": _digits,
    "fashion-mnist": lambda: _images("fashion-mnist"),
    "heart": _heart,
    "mnist": lambda: _images("mnist"),
}
