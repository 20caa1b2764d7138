"""Tantivy's side: two indexes (the average length of a chunk is not that of a file), their writers and queries."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import tantivy

from codequay.ports.errors import Corrupt
from codequay.ports.lexical import AllOf, LexFile, Literal_, Plan, Unit

from .errors import REBUILD
from .words import TOKENIZER, WORD, Terms, words_of

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
GENERIC_STEMS = frozenset({"mod", "index", "__init__", "package-info", "lib"})
"""File names that say nothing: their folder's name stands for them."""
_SOURCE_FOLDERS = frozenset({"", "src", "lib"})


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
    for unit, folder in FOLDERS.items():
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir(parents=True)
        tantivy.Index(SCHEMAS[unit], path=str(root / folder))


def open_index(path: Path) -> tantivy.Index:
    """An existing index."""
    if not (path / "meta.json").exists():
        raise Corrupt(f"{path} holds no index", remedy=REBUILD)
    index = tantivy.Index.open(str(path))
    index.register_tokenizer("terms", tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())
    return index


class View:
    """One index as a reader sees it.

    Tantivy writes a lock file to open an index. Where the folder cannot be written the view opens a temporary
    folder of links to its files.
    """

    def __init__(self, path: Path, unit: Unit) -> None:
        self.unit = unit
        self.schema = SCHEMAS[unit]
        self._path = path
        self._links: tempfile.TemporaryDirectory[str] | None = None
        if not os.access(path, os.W_OK):
            self._links = tempfile.TemporaryDirectory(prefix="codequay-")
            self._link(Path(self._links.name))
        self._index = open_index(path if self._links is None else Path(self._links.name))
        self._index.config_reader("manual")
        self.reload()

    def _link(self, folder: Path) -> None:
        """Show the last commit: ``meta.json``, which names the segments, is read before they are linked."""
        meta = self._path / "meta.json"
        last = meta.read_bytes() if meta.exists() else None
        for file in self._path.iterdir():
            link = folder / file.name
            if file.suffix != ".lock" and file != meta and not link.is_symlink():
                link.symlink_to(file.absolute())
        if last is not None:
            (folder / "meta.json").write_bytes(last)

    def reload(self) -> None:
        """See what has been committed since."""
        if self._links is not None:
            self._link(Path(self._links.name))
        self._index.reload()
        self.searcher = self._index.searcher()

    def close(self) -> None:
        if self._links is not None:
            self._links.cleanup()

    def dead(self) -> tuple[int, int]:
        """Documents deleted but still in the files, and all documents."""
        segments = json.loads((self._path / "meta.json").read_text())["segments"]
        gone = sum((s.get("deletes") or {}).get("num_deleted_docs", 0) for s in segments)
        return gone, sum(s["max_doc"] for s in segments)

    def query(self, weights: Mapping[str, float]) -> tantivy.Query:
        """Documents with any of the terms."""
        wanted: list[tuple[tantivy.Occur, tantivy.Query]] = []
        for field, share in FIELDS[self.unit].items():
            how = option(self.unit, field)
            for term, weight in weights.items():
                query = tantivy.Query.term_query(self.schema, field, term, how)
                if weight * share != 1.0:
                    query = tantivy.Query.boost_query(query, weight * share)
                wanted.append((tantivy.Occur.Should, query))
        return wanted[0][1] if len(wanted) == 1 else tantivy.Query.boolean_query(wanted)

    def search(self, query: tantivy.Query, limit: int) -> tuple[list[float], list[Any]]:
        """Scores and document ids, best first."""
        hits = self.searcher.search(query, limit, count=False).hits
        return [score for score, _ in hits], self.searcher.fast_field_values("id", [address for _, address in hits])


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


class Writers:
    """Tantivy's writers of both indexes. Opening them takes the index's lock until ``close``."""

    def __init__(self, root: Path, heaps: Mapping[Unit, int]) -> None:
        self._writers: dict[Unit, tantivy.IndexWriter] = {}
        try:
            for unit, folder in FOLDERS.items():
                self._writers[unit] = open_index(root / folder).writer(heaps[unit], 1)
        except BaseException:
            self.discard()
            raise

    def add(self, slot: int, file: LexFile, terms: Terms) -> None:
        """Add the documents of one file."""
        write = self._writers["chunk"].add_document
        words: set[str] = set()
        for ordinal, text in enumerate(chunk_texts(file)):
            found = words_of(text)
            words.update(found)
            document = _document(slot, min(ordinal, ORDINALS))
            document.add_text("body", terms.of(found))
            write(document)
        if not _whole(file):
            words = set(words_of(file.text))
        folder, _, name = file.path.rpartition("/")
        stem = name.rpartition(".")[0] or name
        if stem in GENERIC_STEMS:
            stem = next((p for p in reversed(folder.split("/")) if p not in _SOURCE_FOLDERS), stem)
        document = _document(slot, 0)
        document.add_text("fsym", terms.of(WORD.findall(" ".join(d.name for d in file.definitions))))
        document.add_text("fstem", terms.of(WORD.findall(stem)))
        document.add_text("fdir", terms.of(WORD.findall(folder)))
        document.add_text("body", terms.of(words))
        self._writers["file"].add_document(document)

    def delete(self, slots: Iterable[int]) -> None:
        """Delete the documents of the slots."""
        for slot in slots:
            for writer in self._writers.values():
                writer.delete_documents_by_term("slot", slot)

    def commit(self) -> None:
        for writer in self._writers.values():
            writer.commit()

    def close(self) -> None:
        """Let running merges end, and let go of the locks."""
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            writer.wait_merging_threads()

    def discard(self) -> None:
        """Let go of writers that have failed; what they had not committed is lost.

        Each is consumed, not just forgotten: a traceback that still holds one would hold its lock.
        """
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            with suppress(ValueError, RuntimeError):
                writer.wait_merging_threads()


def _document(slot: int, ordinal: int) -> tantivy.Document:
    document = tantivy.Document()
    document.add_unsigned("id", slot << ORDINAL_BITS | ordinal)
    document.add_unsigned("slot", slot)
    return document


def chunk_texts(file: LexFile) -> list[str]:
    """The text of each span, whose offsets count bytes of UTF-8."""
    if file.text.isascii():
        return [file.text[s.start_byte : s.end_byte] for s in file.spans]
    raw = file.text.encode(errors="replace")
    return [raw[s.start_byte : s.end_byte].decode(errors="replace") for s in file.spans]


def _whole(file: LexFile) -> bool:
    """Whether the spans hold every word of the text whole: they tile it and are cut at line ends."""
    texts = chunk_texts(file) if not file.text.isascii() else None
    at = 0
    for n, span in enumerate(file.spans):
        last = texts[n][-1:] if texts is not None else file.text[span.end_byte - 1 : span.end_byte]
        if span.start_byte != at or (last != "\n" and n + 1 < len(file.spans)):
            return False
        at = span.end_byte
    return at == (len(file.text) if texts is None else len(file.text.encode(errors="replace")))
