"""``codequay trust``."""

from __future__ import annotations

import os
from pathlib import Path

from . import exit_codes
from .command import Argument, Command, Invocation, Option


def run(call: Invocation) -> int:
    from codequay.kernel.settings import FILE
    from codequay.kernel.trust import Trust, user_folder
    from codequay.ports.errors import NotFound

    trust = Trust(user_folder(os.environ))
    if call.values.get("list"):
        known = trust.list()
        _print(call, {"files": [{"path": path, "sha256": digest} for path, digest in sorted(known.items())]})
        return exit_codes.OK
    file = Path(call.values["FILE"] or FILE)
    path = os.path.realpath(file)
    if call.values.get("revoke"):
        if not trust.revoke(file):
            raise NotFound(f"{path} is not trusted", component="trust", at=path, remedy="see: codequay trust --list")
        _print(call, {"revoked": path})
        return exit_codes.OK
    digest = trust.accept(file)
    _print(call, {"accepted": path, "sha256": digest})
    return exit_codes.OK


def _print(call: Invocation, done: dict[str, object]) -> None:
    out = call.out
    files = done.get("files")
    if out.options.format != "text":
        out.json(done)
    elif isinstance(files, list):
        for entry in files:
            out.data(f"{entry['sha256'][:12]}  {out.name(entry['path'])}")
        if not files:
            out.note("no file is trusted")
    elif "accepted" in done:
        out.data(f"trusted as it is now: {out.name(str(done['accepted']))}")
    else:
        out.data(f"no longer trusted: {out.name(str(done['revoked']))}")


COMMAND = Command(
    name="trust",
    summary="let a codequay.toml inside a repository configure ports, adapters and plugins",
    run=run,
    arguments=(Argument("FILE", "the file to accept as it is now (default: ./codequay.toml)"),),
    options=(
        Option(("--list",), "what is accepted"),
        Option(("--revoke",), "take the acceptance back"),
    ),
    examples=(
        ("codequay trust codequay.toml", "after reading it"),
        ("codequay trust --revoke codequay.toml", "ignore it again"),
    ),
    exits={code: exit_codes.MEANING[code] for code in (0, 2, 3)},
    notes="A file is accepted by path and content: once changed it is ignored again, except [index] and [retrieval].",
)
