"""Ready data sets: their published sizes and class counts, scaled, with a test part set aside."""

from __future__ import annotations

import os

import numpy as np
import pytest

from bafl.data import DATA_DIR_VARIABLE, load, names
from bafl.errors import DataError, TaskError

# Rows, features, rows of each class, natural owners.
BUNDLED = {
    "digits": (1797, (64,), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180], None),
    "breast-cancer": (569, (30,), [212, 357], None),
}
PUBLISHED = {
    "heart": (920, (30,), [411, 509], [303, 294, 123, 200]),
    "credit": (30_000, (26,), [23_364, 6_636], None),
    "ai4i": (10_000, (8,), [9_661, 339], [1_000] * 10),
    "mnist": (70_000, (1, 28, 28), None, None),
    "fashion-mnist": (70_000, (1, 28, 28), [7_000] * 10, None),
}
needs_data = pytest.mark.skipif(
    DATA_DIR_VARIABLE not in os.environ,
    reason=f"set {DATA_DIR_VARIABLE} to a folder with the published sets to run this",
)

CASES = [
    *BUNDLED.items(),
    *(pytest.param(name, figures, marks=needs_data) for name, figures in PUBLISHED.items()),
]


def test_every_ready_set_is_tested_here() -> None:
    assert set(names()) == {*BUNDLED, *PUBLISHED}


@pytest.mark.parametrize(("name", "figures"), CASES)
def test_a_set_has_its_published_size_and_classes(
    name: str, figures: tuple[int, tuple[int, ...], list[int] | None, list[int] | None]
) -> None:
    rows, shape, classes, owners = figures
    data = load(name)
    features = np.concatenate([data.train.features, data.test.features])
    labels = np.concatenate([data.train.labels, data.test.labels])
    assert features.shape == (rows, *shape)
    assert features.dtype == np.float32
    assert labels.dtype == np.int64
    assert np.isfinite(features).all()
    assert np.abs(features).max() < 12
    assert set(labels) == set(range(data.classes))
    if classes is not None:
        assert np.bincount(labels).tolist() == classes
    if owners is not None:
        assert data.train.groups is not None
        assert data.test.groups is not None
        groups = np.concatenate([data.train.groups, data.test.groups])
        assert np.bincount(groups).tolist() == owners


@pytest.mark.parametrize("name", BUNDLED)
def test_train_and_test_share_no_rows_and_are_alike_in_classes(name: str) -> None:
    data = load(name)
    train, test = ({row.tobytes() for row in part.features} for part in (data.train, data.test))
    assert not train & test
    rates = [
        np.bincount(part.labels, minlength=data.classes) / len(part)
        for part in (data.train, data.test)
    ]
    assert np.abs(rates[0] - rates[1]).max() < 0.01


def test_an_unknown_set_lists_the_known_ones() -> None:
    with pytest.raises(TaskError, match="breast-cancer, credit, digits"):
        load("iris")


@pytest.mark.parametrize("name", ["heart", "mnist"])
def test_a_damaged_set_is_refused(
    name: str, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path

    from bafl.data.sources import SOURCES

    folder = {"heart": "heart-disease"}.get(name, name)
    path = Path(tmp_path, folder, SOURCES[folder][0].name)
    path.parent.mkdir()
    path.write_bytes(b"not what it should be")
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match="has 21 bytes"):
        load(name)
