"""The texts of a new adapter's distribution; ``codequay.contract.scaffold`` fills them in."""

from __future__ import annotations

from collections.abc import Mapping

HARNESSES: Mapping[str, tuple[str, str]] = {"source": ("codequay.contract.tree", "SourceHarness")}
"""Port -> (module, class) of the harness that its adapters' harnesses extend, where that is not ``Harness``."""

NOTES: Mapping[str, str] = {"source": ", over plain files; ``plant()`` gives another kind of repository"}
"""Port -> what else its harness is for."""

HOOKS: Mapping[str, str] = {
    "source": '''
    # A kind of repository of its own: see "A source's tree" in docs/write-an-adapter.md.
    #
    # async def plant(self, adapter: Any) -> Tree:
    #     """An empty repository at ``Tree.root``, below ``self.folder``; the tree says how to commit and to ignore."""
    #     return {title}Tree(self.folder)  # a codequay.contract.tree.DiskTree, with what this kind adds
'''
}
"""Port -> what else its harness may override, as a comment."""

PYPROJECT = """
[build-system]
requires = ["hatchling>=1.26"]
build-backend = "hatchling.build"

[project]
name = "{dist}"
version = "0.1.0"
description = "A codequay adapter: {summary}, in {name}."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["codequay"]

[project.optional-dependencies]
test = ["codequay[contract]", "pytest>=8"]

[project.entry-points."codequay.adapters"]
"{port}.{name}" = "{package}:{constant}"

[project.entry-points."codequay.contracts"]
"{port}.{name}" = "{package}.harness:{harness}"

[tool.hatch.build.targets.wheel]
packages = ["src/{package}"]

[tool.pytest.ini_options]
testpaths = ["tests"]
"""

README = """
# {dist}

An adapter of the codequay port `{port}` ({summary}).

    python -m pip install -e '.[test]'      # beside codequay, in the same environment
    python -m pytest                        # one test per clause of the port; all pass when it is done

1. `src/{package}/{port}.py`: write the operations. What each must do is said on the page of the port
   (the module `{module}`), together with the clauses that the tests check.
2. `src/{package}/__init__.py`: declare what the adapter can do. What is declared is proved; what is not is
   refused to callers.
3. `src/{package}/config.py`: its options. `errors.py`: what the client library's exceptions mean.
   `harness.py`: how the tests open it in an empty place of its own, and open it again.

When every clause holds, write the certificate into the package, and use it:

    codequay contract check {port}.{name} --report src/{package}/certificates/{port}.{name}.json
    CODEQUAY_PORTS__{constant}={name} codequay plan

A further port in this distribution: `codequay adapters new PORT {name} --into .`
"""

INIT = '''
"""{title}, for codequay. Specs only: nothing heavy is imported here."""

from {module} import {capabilities}
from codequay.ports.spec import AdapterSpec

__all__ = ["{constant}"]
'''

SPEC = """
{constant} = AdapterSpec(
    port="{port}",
    name="{name}",
    factory="{package}.{port}:open_{port}",
    config="{package}.config:{title}Config",
    classify="{package}.errors:classify",
    capabilities={capabilities}(
        # Declare what it can do; these are the defaults:
{declared}
    ),
    summary="{summary}, in {name}",
)
"""

CONFIG = '''
"""Options: the table ``[adapters.{name}]``."""

from pydantic import BaseModel, ConfigDict


class {title}Config(BaseModel):
    """An option is a field; a secret is a ``pydantic.SecretStr``. An unknown option is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
'''

ERRORS = '''
"""What the client library's exceptions mean."""

from __future__ import annotations

from codequay.ports.errors import Verdict


def classify(exc: BaseException) -> Verdict | None:
    """The meaning of an exception, None when it is not known. Pure: it looks at ``exc`` only."""
    return None
'''

ADAPTER = '''
"""The port {port} over {name}."""

from __future__ import annotations

{imports}

from .config import {title}Config


@asynccontextmanager
{opening}
    """Open what the adapter needs, yield it, and close everything again.

    ``ctx.data`` is the folder of all embedded stores: make a file or folder named after
    the adapter in it, and nothing when ``ctx.readonly``. ``ctx.run_sync`` runs blocking work,
    ``ctx.clock`` tells the time (the tests move it).
    """
    yield {adapter}(ctx)


class {adapter}:
    """``{protocol}``. The guard has checked the arguments before these are called."""

    def __init__(self, ctx: BuildContext) -> None:
        self._ctx = ctx
'''

HARNESS = '''
"""How the contract kit opens the adapter.

Without an override of ``open()`` and ``reopen()``: by its factory with these options, in an empty folder.
Over a server say more: ``endpoint`` where it is, ``server()`` its name and version, ``leftovers()`` what a trial left
there, ``discard()`` how to remove it, ``restarts`` how to restart it; ``double = True`` when it is a stand-in.
"""

from __future__ import annotations

from typing import Any

from {base_module} import {base}


class {harness}({base}):
    """A place of its own for each trial{note}."""
{hooks}
    def options(self) -> dict[str, Any]:
        """Options for a place of its own: ``self.namespace`` is unique per trial, ``self.folder`` is empty."""
        return {{}}
'''

TEST = """
from codequay.contract import contract_tests

TestContract = contract_tests("{port}.{name}")
"""
