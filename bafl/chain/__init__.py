"""The whole boundary to the chain; nothing outside this room imports web3."""

import sys

_DEFAULT_LIMIT = 1000
_limit = _DEFAULT_LIMIT if "py_ecc" in sys.modules else sys.getrecursionlimit()

import py_ecc  # noqa: E402, F401

# py_ecc, which eth-account brings along, raises the process's recursion limit to 100,000. On Python
# 3.11 that lets deeply nested JSON, from whatever peer, overflow the stack and kill the process.
sys.setrecursionlimit(_limit)
