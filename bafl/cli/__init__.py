"""The command line: `bafl VERB`. Light to import; each verb loads what it needs when it runs."""

from __future__ import annotations

from bafl.cli.app import main

__all__ = ["main"]
