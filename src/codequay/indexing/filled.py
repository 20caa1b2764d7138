"""Published generations that a store of this machine was filled with afterwards.

Metadata on a server names the stores that a generation was published with, and a generation is published once. An index
on another machine's disk is not among them, so that machine notes here that its own holds the generation too. One file
per repository, beside the manifests. Lost, it makes the store cold, and ``codequay index`` fills it again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from codequay.ports.metadata import Published, StoreRecord

from .manifest import FOLDER

_SUFFIX = ".filled"


class Filled(NamedTuple):
    """A store and a generation that it holds. The time tells generations apart that have one number: of another
    database, or of one that was set back."""

    generation: int
    published_at: float
    store: StoreRecord

    def is_of(self, one: Published) -> bool:
        return (self.generation, self.published_at) == (one.generation, one.published_at)


def records(data: Path, one: Published) -> tuple[StoreRecord, ...]:
    """The stores of this machine that were filled with just this generation after it was published."""
    return tuple(noted.store for noted in _read(_place(data, one.repo_id))[1] if noted.is_of(one))


def note(data: Path, one: Published, store: StoreRecord, *, kept: Collection[int]) -> None:
    """Note that the store holds the generation; of what was noted of the same store ``kept`` generations stay.

    :raises OSError: it could not be written
    """
    place = _place(data, one.repo_id)
    place.parent.mkdir(parents=True, exist_ok=True)
    others = [
        noted
        for noted in _read(place)[1]
        if noted.store != store or (noted.generation in kept and noted.generation != one.generation)
    ]
    every = [*others, Filled(one.generation, one.published_at, store)]
    content = {"repo_id": one.repo_id, "filled": [{**noted._asdict(), "store": asdict(noted.store)} for noted in every]}
    made = place.with_suffix(f".{os.getpid()}.tmp")
    try:
        made.write_text(json.dumps(content), encoding="utf-8")
        made.replace(place)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def strangers(data: Path, repos: Collection[str]) -> Iterator[Path]:
    """Files of repositories that are not among these, and damaged ones, in no order."""
    try:
        for file in (data / FOLDER).glob(f"*{_SUFFIX}"):
            if _read(file)[0] not in repos:
                yield file
    except OSError:
        return


def _read(place: Path) -> tuple[str, list[Filled]]:
    """The repository's id and what is noted; nothing when the file is not there or damaged."""
    try:
        content = json.loads(place.read_bytes())
        noted = [
            Filled(one["generation"], one["published_at"], StoreRecord(**one["store"])) for one in content["filled"]
        ]
        return content["repo_id"], noted
    except (OSError, ValueError, TypeError, KeyError):
        return "", []


def _place(data: Path, repo_id: str) -> Path:
    name = blake2b(repo_id.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return data / FOLDER / (name + _SUFFIX)
