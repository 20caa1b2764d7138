"""Generations as dictionaries: repository -> generation -> (path -> file, sealed)."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from codequay.ports.errors import Conflict, NotIndexed
from codequay.ports.generations import GenerationState, ScopeEntry

from ..expect import Failed
from ..model import Step, same

REPOS = ("a", "ab")
PATHS = ("k", "k/x", "kk", "K", "ä")
TEXTS = ("one\n", "def two():\n    two\n\nthree\n", "", "größe = 2\nzwei\n")

repos = st.sampled_from(REPOS)
paths = st.sampled_from(PATHS)
texts = st.sampled_from(TEXTS)
numbers = st.integers(0, 3)
"""A generation, counted back from the newest that the model knows."""
UNSEALED = 10
"""Added to a number of a scope that counts every generation; without it only sealed ones are counted."""
aged = st.sampled_from((0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, UNSEALED, UNSEALED + 1, UNSEALED + 3))
_files = st.lists(st.tuples(paths, texts), min_size=1, max_size=4)


def weighted(*choices: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """One of the strategies, each as often as its weight says: ``one_of`` takes every strategy once."""
    return st.sampled_from([one for weight, one in choices for _ in range(weight)]).flatmap(lambda one: one)


LIFE: st.SearchStrategy[Step] = weighted(
    (9, st.builds(lambda r, files: Step("fill", (r,), {"files": files}), repos, _files)),
    (
        2,
        st.builds(
            lambda r, b: Step("begin", (r,), {"generation": -1, "base": b}), repos, st.one_of(st.none(), numbers)
        ),
    ),
    (
        3,
        st.builds(
            lambda r, files, removed: Step("stage", (r,), {"generation": 0, "files": files, "removed": removed}),
            repos,
            st.lists(st.tuples(paths, texts), max_size=3),
            st.lists(paths, max_size=2),
        ),
    ),
    (2, st.builds(lambda r: Step("seal", (r,), {"generation": 0}), repos)),
    (2, st.builds(lambda r, n: Step("drop", (r,), {"generation": n}), repos, numbers)),
    (1, st.builds(lambda r: Step("purge", (r,)), repos)),
    (1, st.builds(lambda r: Step("generations", (r,)), repos)),
    (
        1,
        st.builds(lambda r, n: Step("stage", (r,), {"generation": n, "files": [], "removed": ["k"]}), repos, numbers),
    ),
)


def scopes() -> st.SearchStrategy[Any]:
    """(repository, generation counted back) pairs, each repository at most once."""
    some = st.lists(st.tuples(repos, aged), min_size=1, max_size=2, unique_by=lambda pair: pair[0])
    return weighted((9, some), (1, st.just([])))


def places() -> st.SearchStrategy[Any]:
    """Where a page begins: half of them at the first place."""
    return st.one_of(st.none(), st.tuples(repos, paths))


class GenerationModel:
    """What every store of generations does. ``file`` makes what the port stages."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._repos: dict[str, dict[int, tuple[dict[str, Any], bool]]] = {}
        self._last = 0

    def ready(self, step: Step) -> Step | None:
        """Numbers counted back become generations; texts become files."""
        options = dict(step.options)
        if step.op in ("begin", "stage", "seal", "drop", "fill"):
            repo = step.args[0]
            known = sorted(self._repos.get(repo, {}), reverse=True)
            if step.op in ("begin", "fill"):
                options["generation"] = self._last + 1
                base = options.get("base", 0)
                sealed = [g for g in known if self._repos[repo][g][1]]
                if step.op == "fill":
                    options["base"] = sealed[0] if sealed else None
                elif base is not None:
                    options["base"] = known[base] if base < len(known) else None
            else:
                number = options["generation"]
                options["generation"] = known[number] if number < len(known) else self._last + 5
            if "files" in options:
                options["files"] = [self._file(path, text) for path, text in options["files"]]
        if "scope" in options:
            if not any(sealed for known in self._repos.values() for _, sealed in known.values()):
                return None
            entries = dict(self._entry(repo, number) for repo, number in options["scope"])
            options["scope"] = [ScopeEntry(*entry) for entry in entries.items()]
        return step._replace(options=options)

    def _entry(self, repo: str, number: int) -> tuple[str, int]:
        """An entry of a scope: mostly one that can be read, also where the repository named has nothing sealed."""
        known = sorted(self._repos.get(repo, {}), reverse=True)
        if number >= UNSEALED:
            return repo, next(iter(known[number - UNSEALED :]), self._last + 5)
        for other in (repo, *REPOS):
            sealed = [g for g, (_, done) in sorted(self._repos.get(other, {}).items(), reverse=True) if done]
            if sealed:
                return other, sealed[min(number, len(sealed) - 1)]
        return repo, self._last + 5

    def check(self, step: Step, answer: Any) -> None:
        getattr(self, f"_{step.op}")(step, answer, *step.args, **step.options)

    # -- the life of a generation ----------------------------------------------------------------------------------

    def _begin(self, step: Step, answer: Any, repo: str, *, generation: int, base: int | None) -> None:
        known = self._repos.setdefault(repo, {})
        self._last = max(self._last, generation)
        if base is not None and not (base in known and known[base][1]):
            same(step, answer, NotIndexed)
            return
        same(step, answer, None)
        for other, (_, sealed) in list(known.items()):
            if other == generation or (not sealed if base is None else other > base):
                del known[other]
        known[generation] = (dict(known[base][0]) if base is not None else {}, False)

    def _stage(self, step: Step, answer: Any, repo: str, *, generation: int, files: Any, removed: Any) -> None:
        staged = self._repos.get(repo, {}).get(generation)
        if staged is None or staged[1]:
            same(step, answer, Conflict)
            return
        if isinstance(answer, Exception):
            raise Failed(f"stage raised {type(answer).__name__}: {answer}")
        for path in removed:
            staged[0].pop(path, None)
        staged[0].update({file.path: file for file in files})

    def _seal(self, step: Step, answer: Any, repo: str, *, generation: int) -> None:
        known = self._repos.get(repo, {})
        if generation not in known:
            same(step, answer, Conflict)
            return
        same(step, answer, None)
        known[generation] = (known[generation][0], True)

    def _drop(self, step: Step, answer: Any, repo: str, *, generation: int) -> None:
        same(step, answer, None)
        self._repos.get(repo, {}).pop(generation, None)

    def _purge(self, step: Step, answer: Any, repo: str) -> None:
        same(step, answer, None)
        self._repos.pop(repo, None)

    def _generations(self, step: Step, answer: Any, repo: str) -> None:
        known = self._repos.get(repo, {})
        same(step, answer, [GenerationState(number, known[number][1]) for number in sorted(known)])

    # -- for the ports ---------------------------------------------------------------------------------------------

    def shown(self, scope: Any) -> dict[tuple[str, str], Any] | None:
        """(repository, path) -> file in the scope's order of places; None when a generation is not sealed."""
        found: dict[tuple[str, str], Any] = {}
        for repo, generation in scope:
            state = self._repos.get(repo, {}).get(generation)
            if state is None or not state[1]:
                return None
            found.update({(repo, path): file for path, file in state[0].items()})
        return dict(sorted(found.items()))

    def refused(self, step: Step, answer: Any, scope: Any) -> bool:
        """Whether the scope must be refused; then the answer was checked."""
        if self.shown(scope) is not None:
            return False
        same(step, answer, NotIndexed)
        return True

    def paged(self, step: Step, answer: Any, scope: Any, after: Any, limit: int, row: Any) -> None:
        """A page of ``scan``; ``row(repo, path, file)`` is what it must hold."""
        if self.refused(step, answer, scope):
            return
        rows = [(place, row(*place, file)) for place, file in (self.shown(scope) or {}).items()]
        rows = [one for one in rows if after is None or one[0] > after]
        expected = tuple(one[1] for one in rows[:limit])
        if isinstance(answer, Exception) or tuple(answer.files) != expected:
            raise Failed(f"scan gave {answer!r}; the answer is {expected!r}")
        due = rows[limit - 1][0] if len(rows) > limit else None
        if answer.after != due:
            raise Failed(f"scan ends with after={answer.after!r}, not {due!r}")
