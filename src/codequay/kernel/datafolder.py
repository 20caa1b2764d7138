"""The folder of the embedded stores: made by the first writer, hidden from git.

Whether a folder that was found may be used at all is decided by who found it.
"""

from __future__ import annotations

from pathlib import Path

from codequay.ports.errors import FailedPrecondition, PermissionDenied

IGNORE = "# Made by codequay: the index is not part of the repository.\n*\n"


def prepare(data: Path) -> None:
    """Make the folder, with a ``.gitignore`` that hides it.

    A folder that holds anything already is left as it is: it may be one that a person named, with files of their own.

    :raises FailedPrecondition: something else has its name
    :raises PermissionDenied: it cannot be made
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        if not any(data.iterdir()):
            (data / ".gitignore").write_text(IGNORE, encoding="utf-8")
    except FileExistsError as exc:
        remedy = "remove it, or name another: --data DIR"
        raise FailedPrecondition(f"{data} is not a folder", at=str(data), remedy=remedy) from exc
    except OSError as exc:
        raise PermissionDenied(
            f"the index folder {data} cannot be made: {exc.strerror}",
            at=str(data),
            remedy="keep the index where you may write: --data DIR",
        ) from exc
