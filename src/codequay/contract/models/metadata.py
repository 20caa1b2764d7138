"""The metadata store as a few dictionaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from codequay.ports.errors import Conflict, FailedPrecondition, NotFound, PortError
from codequay.ports.metadata import WORKTREE, Fence, Publication, Published, Repo, SkippedFile, StoreRecord

from ..expect import Failed, near
from ..model import KEYS, Step, same
from .generations import weighted

MOST = 0
"""Stands for the largest limit that is declared."""
HEAD = -1
"""Stands for the newest generation, as the base of a step."""

_repo = st.sampled_from((KEYS[0], KEYS[0], KEYS[0], *KEYS[:5]))
"""One more often than the others: what goes wrong needs several generations of one repository."""
_repos = st.one_of(st.none(), st.lists(_repo, max_size=2))
_snapshot = st.sampled_from((WORKTREE, WORKTREE, "rev:ü", "rev:Ü"))
_base = st.sampled_from((HEAD, HEAD, HEAD, None, 1))
_which = st.sampled_from((0, 0, 0, 1, 2))
_skipped = st.lists(
    st.builds(SkippedFile, st.sampled_from(("k", "k/x", "K", "ä")), st.sampled_from(("binary", "budget"))), max_size=4
)
_fence = st.one_of(
    st.none(),
    st.builds(Fence, st.just("lock"), st.sampled_from(("one", "one", "two")), st.sampled_from((1, 2, 3, None))),
)
_limit = st.sampled_from((1, 2, 3, MOST))
_open = st.builds(
    lambda r, b, a: Step("open_generation", (r,), {"base": b, "above": a}), _repo, _base, st.sampled_from((0, 0, 9))
)
_publish = st.builds(
    lambda r, w, b, n, s, f: Step(
        "publish", (r,), {"which": w, "base": b, "snapshot": n, "skipped": tuple(s), "fence": f}
    ),
    _repo, _which, _base, _snapshot, _skipped, _fence,
)  # fmt: skip

_flip = st.builds(
    lambda r, n, s, f: Step("flip", (r,), {"snapshot": n, "skipped": tuple(s), "fence": f}),
    _repo, _snapshot, _skipped, _fence,
)  # fmt: skip

STEPS: st.SearchStrategy[Step] = weighted(
    (9, _flip),
    (2, st.builds(lambda r: Step("again", (r,)), _repo)),
    (2, st.builds(lambda r: Step("withdraw", (r,)), _repo)),
    (1, st.builds(lambda r, root: Step("put_repo", (Repo(r, root),)), _repo, st.sampled_from(("/a", "/ä")))),
    (2, _open),
    (3, _publish),
    (1, st.builds(lambda r, s: Step("published", (r,), {"snapshot": s}), _repos, _snapshot)),
    (1, st.builds(lambda r: Step("snapshots", (r,)), _repos)),
    (2, st.builds(lambda r, s: Step("forget", (r,), {"snapshot": s}), _repo, _snapshot)),
    (2, st.builds(lambda r, w: Step("retire", (r,), {"generation": w}), _repo, _which)),
    (
        1,
        st.builds(
            lambda r, w, a, n: Step("skipped", (r,), {"generation": w, "after": a, "limit": n}),
            _repo, _which, st.sampled_from((None, "k")), _limit,
        ),
    ),
    (
        1,
        st.builds(
            lambda a, n: Step("scan", (), {"after": a, "limit": n}), st.one_of(st.none(), _repo), _limit
        ),
    ),
    (1, st.builds(lambda r: Step("purge", (r,)), _repo)),
    (2, st.builds(lambda s: Step("advance", (s,)), st.sampled_from((1.0, 60.0)))),
)  # fmt: skip


@dataclass
class _State:
    """What is known of one repository."""

    repo: Repo
    opened: int | None = None
    shown: dict[str, int] = field(default_factory=dict)
    kept: dict[int, tuple[Publication, Published]] = field(default_factory=dict)
    hidden: dict[int, float] = field(default_factory=dict)
    """Generation -> when it lost its name."""
    fences: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def head(self) -> int | None:
        return max(self.kept, default=None)

    def shows(self, snapshot: str) -> Published:
        return self.kept[self.shown[snapshot]][1]


class MetadataModel:
    """Repositories by id; every number that was ever given, also of repositories that were forgotten."""

    def __init__(self, capabilities: Any) -> None:
        self._most: int = capabilities.max_limit
        self._repos: dict[str, _State] = {}
        self._given: dict[str, list[int]] = {}
        self._last: dict[str, Publication] = {}
        """The latest publication of each repository, also of one that was retired or purged since."""
        self._began: float | None = None
        self._passed = 0.0

    def ready(self, step: Step) -> Step | None:
        """Generations are named by number, counted from the latest that was opened; ``HEAD`` is the newest kept.

        A flip is made ready when it is expanded.
        """
        options = dict(step.options)
        repo_id: Any = step.args[0] if step.args else None
        state = self._repos.get(repo_id) if isinstance(repo_id, str) else None
        if options.get("base") == HEAD:
            options["base"] = state.head if state else None
        if step.op in ("flip", "withdraw"):
            return step if state or step.op == "flip" else None
        if step.op == "again":
            return Step("publish", (self._last[repo_id],)) if repo_id in self._last else None
        if options.get("limit") == MOST:
            options["limit"] = self._most
        if step.op == "publish":
            number = self._number(repo_id, options.pop("which"))
            if number is None or (options["base"] or 0) >= number:
                return None
            stores = (StoreRecord("chunks", "ä", "id", "one"),) if options["skipped"] else ()
            return Step("publish", (Publication(repo_id, number, stores=stores, files=number, **options),))
        if "generation" in options:
            options["generation"] = self._number(repo_id, options["generation"])
            if options["generation"] is None:
                return None
        return step._replace(options=options)

    def expanded(self, step: Step) -> Iterator[Step]:
        """After each write, what it must have changed and what it must not.

        A flip is all that a writer does; without it hardly anything would ever be published.
        """
        if step.op == "flip":
            (repo_id,) = step.args
            if repo_id not in self._repos:
                yield Step("put_repo", (Repo(repo_id, "/new"),))
            yield Step("open_generation", (repo_id,), {"base": self._repos[repo_id].head, "above": 0})
            due = self.ready(Step("publish", (repo_id,), {"which": 0, "base": HEAD, **step.options}))
            if due is not None:
                yield from self.expanded(due)
            return
        if step.op == "withdraw":
            yield from self._withdrawn(*step.args)
            return
        yield step
        if step.op not in ("put_repo", "publish", "forget", "retire", "purge"):
            return
        about = step.args[0]
        repo_id = about if isinstance(about, str) else about.repo_id
        yield Step("history", (repo_id,))
        yield Step("snapshots")
        yield Step("published", ([repo_id],), {"snapshot": WORKTREE})
        yield Step("scan", (), {"after": None, "limit": 10})
        if isinstance(about, Publication):
            where = {"generation": about.generation, "after": None, "limit": 2}
            yield Step("skipped", (repo_id,), where)

    def _withdrawn(self, repo_id: str) -> Iterator[Step]:
        """The newest generation loses its name, and is then retired."""
        state = self._repos[repo_id]
        newest = state.head
        for name, number in list(state.shown.items()):
            if number == newest:
                yield from self.expanded(Step("forget", (repo_id,), {"snapshot": name}))
        if newest is not None:
            yield from self.expanded(Step("retire", (repo_id,), {"generation": newest}))

    def check(self, step: Step, answer: Any) -> None:
        getattr(self, f"_{step.op}")(step, answer, *step.args, **step.options)

    def seen(self, step: Step, answer: Any) -> Any:
        """The answer with generations counted in the order of opening: two stores may number them differently."""
        if step.op == "open_generation" and not isinstance(answer, PortError):
            return "a number"
        if isinstance(answer, Published):
            return self._counted(answer)
        if isinstance(answer, list):
            return [self._counted(one) for one in answer]
        return answer

    def _counted(self, published: Published) -> Any:
        given = self._given.get(published.repo_id, [])
        number = published.generation
        same_number = replace(published, generation=given.index(number) if number in given else number)
        return same_number, published.published_at, published.hidden_at

    def _number(self, repo_id: Any, which: int) -> int | None:
        given = self._given.get(repo_id, [])
        return given[-1 - which] if which < len(given) else None

    def _advance(self, step: Step, answer: Any, seconds: float) -> None:
        self._passed += seconds

    def _time(self, first: float) -> float:
        """The time now, by the clock whose first answer was ``first``."""
        if self._began is None:
            self._began = first - self._passed
        return self._began + self._passed

    def _put_repo(self, step: Step, answer: Any, repo: Repo) -> None:
        same(step, answer, None)
        self._repos.setdefault(repo.repo_id, _State(repo)).repo = repo

    def _scan(self, step: Step, answer: Any, *, after: str | None, limit: int) -> None:
        rest = [state.repo for repo_id, state in sorted(self._repos.items()) if after is None or repo_id > after]
        _page(step, answer, "repos", rest, limit)

    def _open_generation(self, step: Step, answer: Any, repo_id: str, *, base: int | None, above: int) -> None:
        state = self._repos.get(repo_id)
        if state is None or base != state.head:
            same(step, answer, NotFound if state is None else Conflict)
            return
        given = self._given.setdefault(repo_id, [])
        least = max([above, *given])
        if isinstance(answer, PortError) or type(answer) is not int or not least < answer <= 2**53:
            raise Failed(f"open_generation gave {answer!r}; a number above {least} is due")
        given.append(answer)
        state.opened = answer

    def _publish(self, step: Step, answer: Any, p: Publication) -> None:
        state = self._repos.get(p.repo_id)
        kept = state.kept.get(p.generation) if state else None
        if state is not None and kept is not None and _essence(kept[0]) == _essence(p):
            self._is(answer, kept[1])
            return
        if state is None or state.opened != p.generation or state.head != p.base or self._fenced_off(state, p.fence):
            same(step, answer, Conflict)
            return
        if not isinstance(answer, Published):
            raise Failed(f"publish gave {answer!r}; {p!r} is upon what is published")
        if answer.published_at != near(self._time(answer.published_at), 0.01):
            raise Failed(f"published_at is {answer.published_at}; the clock says {self._time(0)}")
        files = {file.path: file.reason for file in p.skipped}
        expected = Published(
            p.repo_id, p.generation, p.snapshot, p.revision, p.dirty, p.files, p.chunks, p.bytes, answer.published_at,
            p.stores, dict(Counter(files.values())),
        )  # fmt: skip
        self._is(answer, expected)
        self._hide(state, p.snapshot)
        self._last[p.repo_id] = p
        state.kept[p.generation] = p, answer
        state.shown[p.snapshot] = p.generation
        state.opened = None
        if p.fence is not None and p.fence.fence is not None:
            state.fences[p.fence.adapter, p.fence.store_id] = p.fence.fence

    def _is(self, answer: Any, expected: Published) -> None:
        if answer != expected:
            raise Failed(f"publish gave {answer!r}; the answer is {expected!r}")

    def _fenced_off(self, state: _State, fence: Fence | None) -> bool:
        if fence is None or fence.fence is None:
            return False
        return fence.fence < state.fences.get((fence.adapter, fence.store_id), fence.fence)

    def _published(self, step: Step, answer: Any, repo_ids: list[str] | None = None, *, snapshot: str) -> None:
        shown = [state.shows(snapshot) for state in self._chosen(repo_ids) if snapshot in state.shown]
        same(step, answer, shown)

    def _snapshots(self, step: Step, answer: Any, repo_ids: list[str] | None = None) -> None:
        same(step, answer, [state.shows(name) for state in self._chosen(repo_ids) for name in sorted(state.shown)])

    def _chosen(self, repo_ids: list[str] | None) -> list[_State]:
        return [state for repo_id, state in sorted(self._repos.items()) if repo_ids is None or repo_id in repo_ids]

    def _history(self, step: Step, answer: Any, repo_id: str) -> None:
        state = self._repos.get(repo_id)
        same(step, answer, [published for _, (_, published) in sorted(state.kept.items())] if state else [])
        for one in answer if state else ():
            due = state.hidden.get(one.generation) if state else None
            if one.hidden_at != (due if due is None else near(due, 0.01)):
                raise Failed(f"hidden_at of generation {one.generation} is {one.hidden_at}; it is {due}")

    def _hide(self, state: _State, snapshot: str) -> None:
        if snapshot in state.shown:
            state.hidden[state.shown.pop(snapshot)] = self._time(0)

    def _forget(self, step: Step, answer: Any, repo_id: str, *, snapshot: str) -> None:
        same(step, answer, None)
        if repo_id in self._repos:
            self._hide(self._repos[repo_id], snapshot)

    def _retire(self, step: Step, answer: Any, repo_id: str, *, generation: int) -> None:
        state = self._repos.get(repo_id)
        if state is not None and generation in state.shown.values():
            same(step, answer, FailedPrecondition)
            return
        same(step, answer, None)
        if state is not None:
            state.kept.pop(generation, None)

    def _skipped(
        self, step: Step, answer: Any, repo_id: str, *, generation: int, after: str | None, limit: int
    ) -> None:
        state = self._repos.get(repo_id)
        kept = state.kept.get(generation) if state else None
        files = {file.path: file for file in (kept[0].skipped if kept else ())}
        rest = [file for path, file in sorted(files.items()) if after is None or path > after]
        _page(step, answer, "files", rest, limit)

    def _purge(self, step: Step, answer: Any, repo_id: str) -> None:
        same(step, answer, None)
        self._repos.pop(repo_id, None)


def _essence(p: Publication) -> Publication:
    """What must be equal for a publication to be the same again."""
    return replace(p, fence=None, skipped=())


def _page(step: Step, answer: Any, name: str, rest: list[Any], limit: int) -> None:
    """The page has the first of ``rest``, and says that more follow when they do."""
    if isinstance(answer, PortError):
        raise Failed(f"{step.op} raised {type(answer).__name__}: {answer.message}")
    rows = list(getattr(answer, name))
    if rows != rest[:limit] or (answer.after is None and len(rest) > limit):
        raise Failed(f"{step.op} gave {answer!r}; from here on there are {rest!r}")
    if answer.after is not None and len(rest) <= limit:
        raise Failed(f"{step.op} says that more follow, and nothing does: {answer!r}")
