"""Compiling from source, for those who want to: joining needs only the shipped artifacts."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bafl.chain.abi import Artifact, parse_artifact
from bafl.errors import ChainError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS = {
    "evmVersion": "cancun",
    "optimizer": {"enabled": True, "runs": 200},
    "viaIR": True,
}
"""As in hardhat.config.js."""

_IMPORT = re.compile(r'^\s*import\s+(?:[^"\';]*\sfrom\s+)?["\']([^"\']+)["\']', re.MULTILINE)

# npm's solc is a library in WebAssembly; solcx wants a program. (Its own `solcjs --standard-json`
# writes a line of prose before the JSON.)
_PROGRAM = """#!{node}
const solc = require({module});
if (process.argv.includes("--version")) {{
  console.log("solc, the solidity compiler\\nVersion: " + solc.version());
}} else {{
  process.stdout.write(solc.compile(require("fs").readFileSync(0, "utf8")));
}}
"""


def compile_contracts(
    files: Sequence[Path], names: Sequence[str], *, modules: Path, solc: Path | None = None
) -> dict[str, Artifact]:
    """Compile `files` with what they import, and give the contracts `names`.

    modules: a node_modules folder with the imported libraries and, unless `solc` names a native
    compiler, npm's solc (needs `node` on PATH).
    Raises UsageError for a missing file, compiler or contract, ChainError for wrong source.
    """
    from solcx import compile_standard
    from solcx.exceptions import SolcError

    sources: dict[str, dict[str, str]] = {}
    for file in files:
        _gather(file.resolve(), str(file.resolve()), modules, sources)
    request = {
        "language": "Solidity",
        "sources": sources,
        "settings": SETTINGS | {"outputSelection": {"*": {"*": ["abi", "evm.bytecode"]}}},
    }
    with tempfile.TemporaryDirectory(prefix="bafl-solc-") as folder:
        program = solc or _npm_solc(Path(folder), modules)
        try:
            output = compile_standard(request, solc_binary=program)
        except SolcError as error:
            raise ChainError(f"the contracts do not compile:\n{error.message}") from error
    found = {
        name: contract
        for contracts in output["contracts"].values()
        for name, contract in contracts.items()
    }
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(f"no contract named {', '.join(missing)} in {', '.join(map(str, files))}")
    return {name: _artifact(name, found[name]) for name in names}


def _artifact(name: str, contract: dict[str, Any]) -> Artifact:
    bytecode = contract["evm"]["bytecode"]
    raw = {
        "abi": contract["abi"],
        "bytecode": "0x" + bytecode["object"],
        "linkReferences": bytecode["linkReferences"],
    }
    return parse_artifact(name, json.dumps(raw))


def _gather(file: Path, name: str, modules: Path, sources: dict[str, dict[str, str]]) -> None:
    if name in sources:
        return
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
    sources[name] = {"content": text}
    for path in _IMPORT.findall(text):
        if path.startswith("."):
            found = (file.parent / path).resolve()
            base = Path(name).parent
            # Names as the compiler makes them: relative to the importing file's own name.
            _gather(found, _joined(base, path), modules, sources)
        else:
            _gather(modules / path, path, modules, sources)


def _joined(base: Path, path: str) -> str:
    parts = list(base.parts)
    for part in Path(path).parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return str(Path(*parts))


def _npm_solc(folder: Path, modules: Path) -> Path:
    node = shutil.which("node")
    library = (modules / "solc").resolve()
    if node is None or not library.is_dir():
        missing = "node is not on PATH" if node is None else f"{library} is not there"
        raise UsageError(
            f"no compiler: {missing}; run `npm ci` in a checkout, or name a native solc"
        )
    program = folder / "solc"
    program.write_text(_PROGRAM.format(node=node, module=json.dumps(str(library))))
    program.chmod(0o700)
    return program
