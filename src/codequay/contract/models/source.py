"""The source as dictionaries: a working tree, and a copy of it for each revision."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any, NamedTuple

from hypothesis import strategies as st

from codequay.ports.errors import PortError
from codequay.ports.source import Change, SourceBlob, SourceFile

from ..expect import Failed, Unverified
from ..model import Planted, Step
from .generations import weighted

PATHS = ("E", "d.k", "d/.k", "d/k", "d/ä", "k", "ä 鍵/e/k")
"""Paths that no system of files confuses, with a name that sorts between a folder and what is in it."""

_path = st.sampled_from(PATHS)
_data = st.sampled_from((b"", b"one\n", b"\0\xff\r\n", b"three\n" * 40))
_revision = st.one_of(st.none(), st.integers(0, 3))
_root = Planted("root")

STEPS: st.SearchStrategy[Step] = weighted(
    (3, st.builds(lambda p, d, x: Step("write", (p, d), {"executable": x}), _path, _data, st.booleans())),
    (1, st.builds(lambda p, t: Step("link", (p, t)), _path, st.sampled_from(("k", "nowhere")))),
    (2, st.builds(lambda p: Step("delete", (p,)), _path)),
    (2, st.builds(lambda: Step("commit"))),
    (2, st.builds(lambda r: Step("files", (_root,), {"revision": r}), _revision)),
    (
        2,
        st.builds(
            lambda p, r, m: Step("read", (_root, p), {"revision": r, "max_bytes": m}),
            st.lists(st.sampled_from((*PATHS, "d")), max_size=5), _revision, st.sampled_from((None, 0, 4)),
        ),
    ),
    (2, st.builds(lambda a, b: Step("diff", (_root, a, b)), st.integers(0, 3), st.integers(0, 3))),
)  # fmt: skip


class Entry(NamedTuple):
    """What lies at a path."""

    kind: str
    mode: int
    data: bytes


class SourceModel:
    """The tree, and every revision with its id, the latest last."""

    def __init__(self, capabilities: Any) -> None:
        self._revisions: bool = capabilities.revisions
        self._tree: dict[str, Entry] = {}
        self._kept: dict[str, dict[str, Entry]] = {}

    def ready(self, step: Step) -> Step | None:
        """Revisions are named by their number, counted from the latest."""
        if step.op == "delete":
            return step if step.args[0] in self._tree else None
        if step.op == "diff":
            ends = [self._id(number) for number in step.args[1:]]
            return None if None in ends else step._replace(args=(step.args[0], *ends))
        number = step.options.get("revision")
        if number is None:
            return step
        revision = self._id(number)
        return None if revision is None else step._replace(options={**step.options, "revision": revision})

    def check(self, step: Step, answer: Any) -> None:
        if isinstance(answer, PortError):
            raise Failed(f"{step.op} raised {type(answer).__name__}: {answer.message}")
        getattr(self, f"_{step.op}")(answer, *step.args, **step.options)

    def seen(self, step: Step, answer: Any) -> Any:
        """The answer without what two correct adapters may give differently."""
        if isinstance(answer, PortError):
            return answer
        if step.op == "files":
            return [file._replace(mtime_ns=0, ctime_ns=0, inode=0) for file in answer]
        if step.op == "diff":
            return self._certain(answer, *step.args)
        return answer

    def _id(self, number: int) -> str | None:
        known = list(self._kept)
        return known[-1 - number % len(known)] if known and self._revisions else None

    def _write(self, answer: None, path: str, data: bytes, *, executable: bool) -> None:
        self._tree[path] = Entry("file", 0o100755 if executable else 0o100644, data)

    def _link(self, answer: None, path: str, target: str) -> None:
        self._tree[path] = Entry("symlink", 0o120000, target.encode())

    def _delete(self, answer: None, path: str) -> None:
        del self._tree[path]

    def _commit(self, answer: str) -> None:
        if self._revisions and not answer:
            raise Unverified("its tree makes no revisions: the harness needs a Tree with commit()")
        if self._revisions:
            self._kept[answer] = dict(self._tree)

    def _at(self, revision: str | None) -> dict[str, Entry]:
        return self._tree if revision is None else self._kept[revision]

    def _files(self, answer: list[SourceFile], root: str, *, revision: str | None) -> None:
        expected = sorted(self._at(revision).items())
        plain = [(file.path, file.kind, file.mode, file.size) for file in answer]
        if plain != [(path, e.kind, e.mode, len(e.data)) for path, e in expected]:
            raise Failed(f"files gave {plain!r}; the tree holds {expected!r}")
        for file, (_, entry) in zip(answer, expected, strict=True):
            ids = ("", blob_id(entry.data)) if revision else ("",)
            if file.blob_id not in ids:
                raise Failed(f"files gave the blob id {file.blob_id!r} for {file.path!r}; it may be {ids!r}")
            if revision and (file.mtime_ns, file.ctime_ns, file.inode) != (0, 0, 0):
                raise Failed(f"files gave numbers of a file system for {file.path!r} of a revision")

    def _read(
        self, answer: list[SourceBlob], root: str, paths: list[str], *, revision: str | None, max_bytes: int | None
    ) -> None:
        tree = self._at(revision)
        expected = [self._blob(tree, path, max_bytes) for path in paths]
        if answer != expected:
            raise Failed(f"read gave {answer!r}; it holds {expected!r}")

    def _blob(self, tree: dict[str, Entry], path: str, max_bytes: int | None) -> SourceBlob:
        entry = tree.get(path)
        if entry is None:
            folder = any(one.startswith(path + "/") for one in tree)
            return SourceBlob(path, None, "not_a_file" if folder else "vanished")
        if entry.kind == "symlink":
            return SourceBlob(path, None, "symlink")
        if max_bytes is not None and len(entry.data) > max_bytes:
            return SourceBlob(path, None, "too_large")
        return SourceBlob(path, entry.data)

    def _diff(self, answer: list[Change], root: str, old: str, new: str) -> None:
        before, after = self._kept[old], self._kept[new]
        if [change.path for change in answer] != sorted(change.path for change in answer):
            raise Failed(f"diff is not in the order of paths: {answer!r}")
        expected = Counter(
            [("deleted", path) for path in before.keys() - after.keys()]
            + [("added", path) for path in after.keys() - before.keys()]
            + [("modified", path) for path in before.keys() & after.keys() if before[path] != after[path]]
        )
        if Counter(split(answer)) != expected:
            raise Failed(f"diff gave {answer!r}; the changes are {sorted(expected)!r}")
        for gone, come in self._moved(before, after):
            if Change("renamed", come, gone) not in answer:
                raise Failed(f"diff gave {answer!r}; {gone!r} became {come!r} with the same bytes")

    def _moved(self, before: dict[str, Entry], after: dict[str, Entry]) -> list[tuple[str, str]]:
        """(old, new) of what moved without any doubt: one went and one came with these bytes."""
        gone = {path: (e.kind, e.data) for path, e in before.items() if path not in after and e.data}
        come = {path: (e.kind, e.data) for path, e in after.items() if path not in before and e.data}
        once = [one for one, n in Counter(gone.values()).items() if n == list(come.values()).count(one) == 1]
        return [
            (next(p for p, e in gone.items() if e == one), next(p for p, e in come.items() if e == one)) for one in once
        ]

    def _certain(self, answer: list[Change], root: str, old: str, new: str) -> list[Any]:
        """The changes, with every rename that another adapter may see otherwise as one that went and one that came."""
        sure = {Change("renamed", come, gone) for gone, come in self._moved(self._kept[old], self._kept[new])}
        kept: list[Any] = [change for change in answer if change in sure]
        return sorted(kept + split([change for change in answer if change not in sure]))


def split(changes: list[Change]) -> list[tuple[str, str]]:
    """(status, path) of each change, a rename as two."""
    found = []
    for change in changes:
        if change.status == "renamed":
            found += [("deleted", change.old_path), ("added", change.path)]
        else:
            found.append((change.status, change.path))
    return found


def blob_id(data: bytes) -> str:
    """Git's id of the bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
