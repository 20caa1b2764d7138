"""Where the index folder lies: which kind of file system, and how much room it has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

NETWORK = frozenset(
    """
    9p afs afpfs beegfs ceph cifs coda davfs fhgfs glusterfs gpfs lustre ncpfs nfs nfs4 orangefs panfs prl_fs pvfs2
    smb2 smb3 smbfs vboxsf vmhgfs webdav
    fuse.ceph fuse.davfs2 fuse.gcsfuse fuse.glusterfs fuse.goofys fuse.rclone fuse.s3fs fuse.sshfs fuse.vmhgfs-fuse
    """.split()  # noqa: SIM905 - a list to read, not one to diff line by line
)
"""File systems that other machines write too, or whose locks and shared memory stop at the machine: SQLite's log and
the lease need both."""

_OCTAL = re.compile(r"\\([0-7]{3})")
_MAC_MOUNT = re.compile(r".* on (?P<point>/.*) \((?P<kind>[^,)]+)[^)]*\)")


def is_network(kind: str) -> bool:
    return kind in NETWORK


def filesystem(path: Path) -> str:
    """The kind of the file system that holds a path ("ext4", "nfs4"); "" where the system does not tell."""
    real = os.path.realpath(path)
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return kind_at(real, linux_mounts(file))
    except OSError:
        pass
    if sys.platform == "darwin":
        try:
            told = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=True, timeout=10).stdout
        except (OSError, subprocess.SubprocessError):
            return ""
        return kind_at(real, mac_mounts(told.splitlines()))
    return ""


def kind_at(path: str, mounts: Iterable[tuple[str, str]]) -> str:
    """The kind of the innermost mount that holds the path; of equal ones the last, which covers the others."""
    best, found = -1, ""
    for point, kind in mounts:
        inside = point == "/" or path == point or path.startswith(point + "/")
        if inside and len(point) >= best:
            best, found = len(point), kind
    return found


def linux_mounts(lines: Iterable[str]) -> list[tuple[str, str]]:
    """(mount point, kind) of each line of ``/proc/self/mountinfo``."""
    mounts = []
    for line in lines:
        before, dash, after = line.partition(" - ")
        fields = before.split()
        if dash and len(fields) >= 5:
            mounts.append((_OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[4]), after.split()[0]))
    return mounts


def mac_mounts(lines: Iterable[str]) -> list[tuple[str, str]]:
    """(mount point, kind) of each line that macOS's ``mount`` prints."""
    return [(match["point"], match["kind"]) for match in map(_MAC_MOUNT.fullmatch, lines) if match]


def folder_bytes(folder: Path) -> int:
    """What the files of a folder occupy; what vanishes meanwhile does not count."""
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(at, name)).st_size
            except OSError:
                continue
    return total
