"""Text that a collation or a careless quotation would change."""

import pytest
from store import database, file, fill, opened, paths, run

from codequay.ports.chunks import ChunkRef, FileRef, Location
from codequay_mariadb import sql

ALIKE = [
    "a",
    "A",
    "á",
    "a ",
    "a  ",
    "ａ",
    "ss",
    "ß",
    "e\u0301",
    "\u00e9",
    "a\0",
    "a'b",
    "a\\",
    "a\\'",
    "a%",
    "a_",
    "\n",
]


def test_alike_paths_and_names_are_kept_apart(tmp_path):
    async def main():
        async with database() as options, opened(options, tmp_path) as store:
            scope = await fill(store, "r", 1, *(file(p, f"text of {p!r}", name=p) for p in ALIKE))
            assert await paths(store, scope) == sorted(ALIKE)
            for path in ALIKE:
                (placed,) = await store.of_file([FileRef("r", path)], scope=scope)
                assert [one.chunk.text for one in placed] == [f"text of {path!r}"]
                hits = await store.defined([path], scope=scope, limit=50)
                assert [hit.path for hit in hits] == [path]

    run(main())


def test_alike_repositories_are_kept_apart(tmp_path):
    async def main():
        async with database() as options, opened(options, tmp_path) as store:
            names = [name for name in ALIKE if name.isprintable()]
            for name in names:
                await fill(store, name, 1, file(f"of {name!r}", "same"))
            for name in names:
                assert await paths(store, [(name, 1)]) == [f"of {name!r}"]
            await store.purge("a")
            assert [len(await store.generations(name)) for name in names] == [int(name != "a") for name in names]

    run(main())


def test_statements_in_values_stay_values(tmp_path):
    evil = "x'); DROP TABLE codequay_chunk; -- \\'; COMMIT; \0 %s %(a)s `"

    async def main():
        async with database() as options, opened(options, tmp_path) as store:
            scope = await fill(store, evil.replace("\0", ""), 1, file(evil.replace("\0", ""), evil, name=evil))
            repo, path = evil.replace("\0", ""), evil.replace("\0", "")
            (placed,) = await store.get([ChunkRef(repo, path, f"blob {evil}@0")], scope=scope)
            assert placed.chunk.text == evil
            assert (await store.at([Location(repo, path, 1)], scope=scope)) == [placed]
            assert await store.text([f"blob {evil}"]) == [evil]
            assert len(await store.defined([evil], scope=scope, limit=5)) == 1

    run(main())


def test_a_lone_surrogate_is_refused_and_not_made_a_byte():
    with pytest.raises(UnicodeEncodeError):
        sql.text("\udcff")


def test_long_paths_with_one_beginning_are_in_order_at_any_page_size(tmp_path):
    long = "d/" * 1460
    names = sorted([f"{long}{tail}" for tail in ("a", "ä", "b/c", "b", "🔑", "\n")] + [long[:2900], "z"])

    async def main():
        async with database() as options, opened(options, tmp_path) as store:
            scope = await fill(store, "r", 1, *(file(name, "same") for name in names))
            for size in range(1, len(names) + 2):
                seen, after = [], None
                while True:
                    page = await store.scan(scope=scope, after=after, limit=size)
                    seen += [one.path for one in page.files]
                    after = page.after
                    if after is None:
                        break
                assert seen == names
            await fill(store, "r", 2, file(names[2], "new"), base=1, removed=[names[3]])
            assert await paths(store, [("r", 2)]) == [name for name in names if name != names[3]]

    run(main())
