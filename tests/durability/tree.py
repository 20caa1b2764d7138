"""A git repository and the random edits that are made to it. Everything follows from the seed."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import git

ORIGIN = "https://example.org/durable.git"
"""So that every index of it, wherever it lies, gives the repository the same id."""
MAX_BYTES = 30_000
"""``index.max_file_bytes`` of these tests: one of the edits makes a file that is larger."""
SETS = (f"index.max_file_bytes={MAX_BYTES}", "index.workers=0")
"""Settings of every run over a tree."""

_NOUNS = ("session", "socket", "retry", "ledger", "parser", "token", "widget", "cursor", "beacon", "harbour")
_VERBS = ("open", "close", "merge", "split", "drain", "flush", "probe", "rewind", "settle", "anchor")
_ENDINGS = (".py", ".js", ".md", ".go", ".txt", ".c")


class Tree:
    """A repository with two branches that differ, and a generator of edits."""

    def __init__(self, folder: Path, seed: int, *, files: int = 24) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self._count = 0
        folder.mkdir(parents=True)
        git(folder, "init", "-q")
        git(folder, "config", "core.autocrlf", "false")
        git(folder, "remote", "add", "origin", ORIGIN)
        for _ in range(files):
            self.add()
        (folder / ".gitignore").write_text(".codequay/\nbuild/\n")
        self.commit()
        git(folder, "branch", "-f", "other")
        git(folder, "checkout", "-q", "other")
        for _ in range(6):
            self.change()
        self.add()
        self.delete()
        self.commit()
        git(folder, "checkout", "-q", "main")

    def edit(self) -> str:
        """Make one random edit and say which."""
        name = self.random.choice(sorted(EDITS))
        for _ in range(5):
            if done := EDITS[name](self):
                return f"{name} {done}"
            name = self.random.choice(sorted(EDITS))
        return f"add {self.add()}"

    def files(self) -> list[str]:
        """The regular files, by path, without git's own and the index."""
        found = []
        for top, folders, names in os.walk(self.folder):
            folders[:] = [one for one in folders if one not in (".git", ".codequay")]
            found += [
                os.path.relpath(os.path.join(top, one), self.folder)
                for one in names
                if not os.path.islink(os.path.join(top, one)) and not one.startswith(".")
            ]
        return sorted(found)

    def blobs(self) -> dict[str, str]:
        """What git would list -> its blob id, computed here from the bytes; regular files only."""
        listed = git(self.folder, "ls-files", "-co", "--exclude-standard", "-z").split("\0")
        blobs = {}
        for name in filter(None, listed):
            path = self.folder / name
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                blobs[name] = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        return blobs

    def text(self, lines: int | None = None) -> str:
        """Source-like text that no other call has made."""
        made = []
        for _ in range(lines or self.random.choice((1, 3, 8, 30))):
            self._count += 1
            verb, noun = self.random.choice(_VERBS), self.random.choice(_NOUNS)
            made.append(f"def {verb}_{noun}_{self._count}({noun}):\n    return {noun}.{verb}() + {self._count}\n\n")
        return "".join(made)

    def pick(self) -> Path | None:
        """One of the regular files."""
        files = self.files()
        return self.folder / self.random.choice(files) if files else None

    def fresh(self) -> Path:
        """A name that is not taken, in some folder."""
        self._count += 1
        folder = self.folder / self.random.choice(("", "src", "src/net", "lib", "docs", "ünï"))
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.random.choice(_NOUNS)}_{self._count}{self.random.choice(_ENDINGS)}"

    def add(self) -> str:
        path = self.fresh()
        path.write_text(self.text())
        return path.name

    def change(self) -> str:
        """Replace, insert or cut a few lines."""
        path = self.pick()
        if path is None:
            return ""
        lines = path.read_bytes().splitlines(keepends=True)
        at = self.random.randrange(len(lines) + 1)
        lines[at : at + self.random.randrange(4)] = [self.text(1).encode()]
        path.write_bytes(b"".join(lines)[: MAX_BYTES - 1])
        return path.name

    def same_size(self) -> str:
        """Other bytes, the same size and the same time of change."""
        path = self.pick()
        if path is None or not path.stat().st_size:
            return ""
        before = path.stat()
        data = bytearray(path.read_bytes())
        at = self.random.randrange(len(data))
        data[at] = ord("q") if data[at] != ord("q") else ord("z")
        path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        return path.name

    def same_size_renamed(self) -> str:
        """The same by a file that takes the other's name, as editors save: another inode."""
        path = self.pick()
        if path is None or not path.stat().st_size:
            return ""
        before = path.stat()
        beside = path.with_name(path.name + ".new")
        beside.write_bytes(path.read_bytes().swapcase())
        os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
        beside.replace(path)
        return path.name

    def swap(self) -> str:
        """Two files exchange their names."""
        one, two = self.pick(), self.pick()
        if one is None or two is None or one == two:
            return ""
        aside = one.with_name("aside.tmp")
        one.rename(aside)
        two.rename(one)
        aside.rename(two)
        return f"{one.name} {two.name}"

    def delete(self) -> str:
        path = self.pick()
        if path is None:
            return ""
        path.unlink()
        return path.name

    def delete_folder(self) -> str:
        folders = [one for one in sorted(self.folder.iterdir()) if one.is_dir() and not one.name.startswith(".")]
        if len(self.files()) < 12 or not folders:
            return ""
        gone = self.random.choice(folders)
        shutil.rmtree(gone)
        return gone.name

    def rename(self) -> str:
        path = self.pick()
        if path is None:
            return ""
        path.rename(to := self.fresh())
        return f"{path.name} {to.name}"

    def case(self) -> str:
        path = self.pick()
        if path is None or (to := path.with_name(path.name.swapcase())).exists():
            return ""
        path.rename(to)
        return to.name

    def mode(self) -> str:
        path = self.pick()
        if path is None:
            return ""
        path.chmod(path.stat().st_mode ^ 0o111)
        return path.name

    def crlf(self) -> str:
        path = self.pick()
        if path is None:
            return ""
        data = path.read_bytes()
        changed = data.replace(b"\r\n", b"\n") if b"\r\n" in data else data.replace(b"\n", b"\r\n")
        path.write_bytes(changed[:MAX_BYTES])
        return path.name

    def copy(self) -> str:
        """The same blob at a second place."""
        path = self.pick()
        if path is None:
            return ""
        shutil.copyfile(path, to := self.fresh())
        return f"{path.name} {to.name}"

    def empty(self) -> str:
        path = self.pick()
        if path is None:
            return ""
        path.write_bytes(b"")
        return path.name

    def binary(self) -> str:
        path = self.pick()
        if path is None:
            return ""
        path.write_bytes(b"\x00\x01\x02" * 50)
        return path.name

    def latin(self) -> str:
        path = self.pick()
        if path is None:
            return ""
        path.write_bytes("größe = übermaß\n".encode("latin-1") + self.text(1).encode())
        return path.name

    def large(self) -> str:
        path = self.pick()
        if path is None:
            return ""
        path.write_bytes(b"x = 1\n" * (MAX_BYTES // 6 + 1))
        return path.name

    def link(self) -> str:
        """A file becomes a symbolic link, or a link a file."""
        links = [one for one in sorted(self.folder.iterdir()) if one.is_symlink()]
        if links:
            links[0].unlink()
            links[0].write_text(self.text(2))
            return f"{links[0].name} no longer"
        path = self.pick()
        if path is None or path.parent != self.folder:
            return ""
        path.unlink()
        path.symlink_to("nowhere")
        return path.name

    def folder_for_file(self) -> str:
        """A file becomes a folder of the same name, with a file in it."""
        path = self.pick()
        if path is None:
            return ""
        path.unlink()
        path.mkdir()
        (path / "inner.py").write_text(self.text(2))
        return path.name

    def ignore(self) -> str:
        """Git's list, or ours, gains or loses a line."""
        path = self.folder / self.random.choice((".gitignore", ".codequayignore"))
        lines = path.read_text().splitlines() if path.exists() else []
        line = self.random.choice(("docs/", "*.md", "src/net/", "*.go"))
        lines = [one for one in lines if one != line] if line in lines else [*lines, line]
        path.write_text("".join(one + "\n" for one in lines))
        return f"{path.name} {line}"

    def touch(self) -> str:
        path = self.pick()
        if path is None:
            return ""
        moment = self.random.choice((0, 1_000_000_000, 4_000_000_000))
        os.utime(path, (moment, moment))
        return f"{path.name} {moment}"

    def commit(self) -> str:
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "--allow-empty", "-m", f"commit {self._count}")
        return "all"

    def switch(self) -> str:
        """The other branch, with everything committed first."""
        self.commit()
        now = git(self.folder, "symbolic-ref", "--short", "HEAD").strip()
        to = "other" if now == "main" else "main"
        git(self.folder, "checkout", "-q", "-f", to)
        return to

    def reset(self) -> str:
        """What is not committed is thrown away; untracked files stay."""
        git(self.folder, "reset", "-q", "--hard")
        return "--hard"

    def many(self) -> str:
        return ", ".join(self.change() or self.add() for _ in range(8))


EDITS: dict[str, Callable[[Tree], str]] = {
    "add": Tree.add,
    "binary": Tree.binary,
    "case": Tree.case,
    "change": Tree.change,
    "change again": Tree.change,
    "commit": Tree.commit,
    "copy": Tree.copy,
    "crlf": Tree.crlf,
    "delete": Tree.delete,
    "delete folder": Tree.delete_folder,
    "empty": Tree.empty,
    "folder for file": Tree.folder_for_file,
    "ignore": Tree.ignore,
    "large": Tree.large,
    "latin": Tree.latin,
    "link": Tree.link,
    "many": Tree.many,
    "mode": Tree.mode,
    "rename": Tree.rename,
    "reset": Tree.reset,
    "same size": Tree.same_size,
    "same size, another inode": Tree.same_size_renamed,
    "swap": Tree.swap,
    "switch": Tree.switch,
    "touch": Tree.touch,
}
