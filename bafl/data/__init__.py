"""Ready data sets, and how they are shared out among participants."""

from bafl.data.base import DataSet, Samples, split_off
from bafl.data.loaders import load, names
from bafl.data.partition import (
    PARTITIONERS,
    DirichletPartitioner,
    IidPartitioner,
    NaturalIdPartitioner,
    Partitioner,
    ShardPartitioner,
)
from bafl.data.sources import DATA_DIR_VARIABLE

__all__ = [
    "DATA_DIR_VARIABLE",
    "PARTITIONERS",
    "DataSet",
    "DirichletPartitioner",
    "IidPartitioner",
    "NaturalIdPartitioner",
    "Partitioner",
    "Samples",
    "ShardPartitioner",
    "load",
    "names",
    "split_off",
]
