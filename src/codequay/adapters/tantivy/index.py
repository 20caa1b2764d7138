"""Tantivy's side: two indexes (a chunk's average length is not a file's), their schemas, views and queries."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tantivy

from codequay.adapters._placements import rebuild
from codequay.adapters._words import WORD
from codequay.ports.errors import Corrupt, PortError
from codequay.ports.lexical import AllOf, Literal_, Plan, Unit

from .segments import CHECKED_BYTES, META, check, read_meta, segments
from .words import TOKENIZER, Terms

if TYPE_CHECKING:
    import tempfile

_VERSION: str = vars(tantivy)["__version__"]
FINGERPRINT = f"tantivy/1/{TOKENIZER}/{'.'.join(_VERSION.split(',')[0].removeprefix('tantivy v').split('.')[:2])}"
"""Layout of folder and schema, tokenizer, and the minor version of Tantivy, which may change its format."""

ORDINAL_BITS = 20
"""Bits of a document's id that number the chunk within its file; the rest is the slot."""
ORDINALS = (1 << ORDINAL_BITS) - 1

FIELDS: Mapping[Unit, Mapping[str, float]] = {
    "chunk": {"body": 1.0},
    "file": {"fsym": 0.5, "fstem": 0.5, "fdir": 0.4, "body": 0.05},
}
"""Weight of each field. Names and path: the round numbers of the retrieval study, where tuned ones gained nothing on
held-out repositories. The body finds a file by any of its words; as a ranking signal it was worth .0015."""
_DISTINCT = "basic"
_COUNTED = "freq"

RELOADS = 20
"""Times that a reader tries to open an index while a writer commits again and again, with growing pauses: 2 s."""
RELOAD_PAUSE_S = 0.01


def option(unit: Unit, field: str) -> str:
    """What a field's postings hold: occurrences, or mere presence (a file's body)."""
    return _DISTINCT if (unit, field) == ("file", "body") else _COUNTED


def _schema(unit: Unit) -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    for field in FIELDS[unit]:
        builder.add_text_field(field, tokenizer_name="terms", index_option=option(unit, field))
    builder.add_unsigned_field("id", fast=True)
    builder.add_unsigned_field("slot", indexed=True)
    return builder.build()


SCHEMAS: Mapping[Unit, tantivy.Schema] = {"chunk": _schema("chunk"), "file": _schema("file")}
FOLDERS: Mapping[Unit, str] = {"chunk": "chunks", "file": "files"}


def make_indexes(root: Path) -> None:
    """Empty indexes in ``root``, in place of whatever lies there."""
    import shutil

    for unit, folder in FOLDERS.items():
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir(parents=True)
        tantivy.Index(SCHEMAS[unit], path=str(root / folder))


def open_index(path: Path) -> tantivy.Index:
    """An existing index.

    :raises Corrupt: there is none
    """
    read_meta(path)
    index = tantivy.Index.open(str(path))
    index.register_tokenizer("terms", tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())
    return index


class View:
    """One index as a reader sees it: the last commit, whose files it has checked.

    Tantivy writes a lock file to open an index. Where the folder cannot be written the view opens a temporary
    folder of links to its files, without that lock: a writer may then delete files that are just being opened.
    """

    def __init__(self, path: Path, unit: Unit) -> None:
        self.unit = unit
        self.schema = SCHEMAS[unit]
        self.path = path
        self._links: tempfile.TemporaryDirectory[str] | None = None
        self._folder = path
        self._whole: set[str] = set()
        self._index: tantivy.Index | None = None
        if not os.access(path, os.W_OK):
            import tempfile

            read_meta(path)
            self._links = tempfile.TemporaryDirectory(prefix="codequay-")
            self._folder = Path(self._links.name)
        try:
            self.reload()
        except BaseException:
            self.close()
            raise

    def reload(self) -> None:
        """See the last commit.

        A writer that commits meanwhile deletes what only older commits name; then it is done again for the newer one.
        Until it has shared a new ``meta.json`` other users may not read it.

        :raises Corrupt: a file of the index is damaged or missing
        """
        meta = b""
        for attempt in range(RELOADS):
            if attempt:
                time.sleep(attempt * RELOAD_PAUSE_S)
            try:
                meta = read_meta(self.path)
                self._load(meta)
                if self._links is not None or read_meta(self.path) == meta:
                    return
            except PermissionError:
                if attempt + 1 == RELOADS:
                    raise
            except (PortError, ValueError, OSError):
                if attempt + 1 == RELOADS or read_meta(self.path) == meta:
                    raise

    def _load(self, meta: bytes) -> None:
        if self._links is not None:
            self._link(meta)
        self._whole = check(self._folder, segments(self.path, meta), self._whole, CHECKED_BYTES, named=self.path)
        try:
            if self._index is None:
                self._index = open_index(self._folder)
                self._index.config_reader("manual")
            self._index.reload()
            self.searcher = self._index.searcher()
        except BaseException as exc:
            if _panicked(exc):
                raise self._damaged(str(exc)) from exc
            raise

    def _link(self, meta: bytes) -> None:
        """Make the temporary folder show a commit."""
        there = {file.name for file in self.path.iterdir() if file.suffix not in (".json", ".lock")}
        shown = {link.name for link in self._folder.iterdir() if link.is_symlink()}
        for name in shown - there:
            (self._folder / name).unlink()
        for name in there - shown:
            (self._folder / name).symlink_to((self.path / name).absolute())
        (self._folder / META).write_bytes(meta)

    def close(self) -> None:
        if self._links is not None:
            self._links.cleanup()

    def documents(self) -> int:
        """Documents in the files, the deleted ones included."""
        return sum(segment.documents for segment in segments(self.path, read_meta(self.path)))

    def query(self, weights: Mapping[str, float]) -> tantivy.Query:
        """Documents with any of the terms."""
        should, term_query, boost_query = tantivy.Occur.Should, tantivy.Query.term_query, tantivy.Query.boost_query
        wanted: list[tuple[tantivy.Occur, tantivy.Query]] = []
        for field, share in FIELDS[self.unit].items():
            how = option(self.unit, field)
            for term, weight in weights.items():
                query = term_query(self.schema, field, term, how)
                if weight * share != 1.0:
                    query = boost_query(query, weight * share)
                wanted.append((should, query))
        return wanted[0][1] if len(wanted) == 1 else tantivy.Query.boolean_query(wanted)

    def search(self, query: tantivy.Query, limit: int) -> tuple[list[float], list[Any]]:
        """Scores and document ids, best first."""
        searcher = self.searcher  # a reload meanwhile would give the addresses another meaning
        try:
            hits = searcher.search(query, limit, count=False).hits
            ids = searcher.fast_field_values("id", [address for _, address in hits])
        except BaseException as exc:
            if _panicked(exc):
                raise self._damaged(str(exc)) from exc
            raise
        if None in ids:
            raise self._damaged("documents have lost their ids")
        return [score for score, _ in hits], ids

    def _damaged(self, what: str) -> Corrupt:
        return Corrupt(f"{self.path} is damaged: {what}", remedy=rebuild(self.path.parent))


def _panicked(exc: BaseException) -> bool:
    """Whether Tantivy, which takes its files to be right, has met one that is not. pyo3 exports no name for it."""
    return type(exc).__name__ == "PanicException"


def require(plan: Plan, terms: Terms, schema: tantivy.Schema) -> tantivy.Query | None:
    """The files that may satisfy the plan, as a query on their bodies; None when any file may."""
    if isinstance(plan, Literal_):
        needed = _literal(plan, terms, schema)
        return _all(needed) if needed else None
    parts = [require(part, terms, schema) for part in plan.parts]
    if isinstance(plan, AllOf):
        bound = [part for part in parts if part is not None]
        return _all(bound) if bound else None
    some = [(tantivy.Occur.Should, part) for part in parts if part is not None]
    if len(some) < len(parts):
        return None
    return tantivy.Query.boolean_query(some) if some else tantivy.Query.empty_query()


def _all(queries: list[tantivy.Query]) -> tantivy.Query:
    return tantivy.Query.boolean_query([(tantivy.Occur.Must, query) for query in queries])


def _literal(literal: Literal_, terms: Terms, schema: tantivy.Schema) -> list[tantivy.Query]:
    """Terms of the words that the literal bounds on both sides; at its ends a word may go on in the text."""
    text = literal.text
    if literal.ignore_case and not text.isascii():
        return []
    whole = [m[0] for m in WORD.finditer(text) if m.start() > 0 and m.end() < len(text)]

    def has(term: str) -> tantivy.Query:
        return tantivy.Query.term_query(schema, "body", term, _DISTINCT)

    if not literal.ignore_case:
        return [has(term) for term in dict.fromkeys(terms.of(whole).split())]
    cased = [terms.any_case(word) for word in dict.fromkeys(whole) if terms[word]]
    return [tantivy.Query.boolean_query([(tantivy.Occur.Should, has(term)) for term in either]) for either in cased]
