"""The lexical index as dictionaries of texts. Scores are the adapter's own; what is found, and in what order of places,
is not."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from hypothesis import strategies as st

from codequay.ports.lexical import AllOf, AnyOf, LexFile, LexSpan, LexStats, Literal_, Placed, Plan, Term, Where

from ..expect import Failed
from ..model import Step, same
from .generations import LIFE, GenerationModel, places, scopes, weighted

TEXTS = ("getSessionId one\nSession\n", "", "größe = session_id\nzwei one\n", "one one one\nSESSION\n")
WORDS = ("session", "one", "zwei", "größe", "id", "absent")
_WORD = re.compile(r"[^\W_]+")


@lru_cache
def file(path: str, text: str) -> LexFile:
    """A span per line."""
    blob = blake2b(text.encode(), digest_size=20).hexdigest()
    spans, start = [], 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        end = start + len(line.encode())
        spans.append(LexSpan(f"{blob[:8]}-{number}", start, end, number, number))
        start = end
    return LexFile(path, blob, "python", 0o100644, text, (), tuple(spans))


def parts(text: str) -> set[str]:
    """The words of a text and the parts of compound identifiers, in lower case."""
    found = set()
    for word in _WORD.findall(text):
        found.add(word.lower())
        found.update(part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-zà-ÿ]+|\d+", word))
    return found


_terms = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2, unique=True)
_where = st.sampled_from((None, Where(prefix="k"), Where(excludes=("x",)), Where(contains=("K",))))
_literals = st.builds(Literal_, st.sampled_from(("Session", "one\n", "röß", "tSess", "zwei o")), st.booleans())
_plans: st.SearchStrategy[Plan] = st.one_of(
    _literals,
    st.builds(lambda p: AllOf(tuple(p)), st.lists(_literals, max_size=2)),
    st.builds(lambda p: AnyOf(tuple(p)), st.lists(_literals, max_size=2)),
)

_READS: tuple[st.SearchStrategy[Step], ...] = (
    st.builds(
        lambda s, t, u, k, w: Step("rank", ([Term(one) for one in t],), {"scope": s, "unit": u, "k": k, "where": w}),
        scopes(),
        _terms,
        st.sampled_from(("file", "chunk")),
        st.integers(1, 6),
        _where,
    ),
    st.builds(lambda s, p, w: Step("candidates", (p,), {"scope": s, "where": w}), scopes(), _plans, _where),
    st.builds(
        lambda s, a, n: Step("scan", (), {"scope": s, "after": a, "limit": n}),
        scopes(),
        places(),
        st.integers(1, 4),
    ),
    st.builds(lambda s: Step("stats", (), {"scope": s}), scopes()),
)
STEPS: st.SearchStrategy[Step] = weighted((1, LIFE), (1, st.one_of(_READS)))


class LexicalModel(GenerationModel):
    """Texts by place."""

    def __init__(self, capabilities: Any) -> None:
        super().__init__(lambda path, number: file(path, _text(number)))
        self._units = capabilities.units

    def ready(self, step: Step) -> Step | None:
        if step.op == "rank" and step.options["unit"] not in self._units:
            return None
        return super().ready(step)

    def _rank(self, step: Step, answer: Any, terms: Any, *, scope: Any, unit: str, k: int, where: Any) -> None:
        if self.refused(step, answer, scope):
            return
        expected = set()
        for (repo, path), held in (self.shown(scope) or {}).items():
            if where is not None and not where.admits(path, held.language):
                continue
            for chunk_id, first, last, text in _units(held, unit):
                if parts(text) & {term.text for term in terms}:
                    expected.add((repo, path, chunk_id, first, last))
        if isinstance(answer, Exception):
            raise Failed(f"rank raised {type(answer).__name__}: {answer}")
        got = [(h.repo_id, h.path, h.chunk_id, h.start_line, h.end_line) for h in answer]
        if len(got) != min(k, len(expected)) or len(set(got)) != len(got) or not set(got) <= expected:
            raise Failed(f"rank gave {got!r}; the {min(k, len(expected))} best of {sorted(expected)!r} are due")
        order = [(-h.score, h.repo_id, h.path, h.start_line, h.chunk_id) for h in answer]
        if order != sorted(order) or any(h.score <= 0 for h in answer):
            raise Failed(f"rank gave {answer!r}, which is not best first with scores above 0 and ties by place")

    def _candidates(self, step: Step, answer: Any, plan: Plan, *, scope: Any, where: Any) -> None:
        if self.refused(step, answer, scope):
            return
        shown = {
            place: held
            for place, held in (self.shown(scope) or {}).items()
            if where is None or where.admits(place[1], held.language)
        }
        everything = [Placed(*place, held.blob_id, held.language) for place, held in shown.items()]
        due = [one for one in everything if _satisfies(shown[one[:2]].text, plan)]
        if isinstance(answer, Exception):
            raise Failed(f"candidates raised {type(answer).__name__}: {answer}")
        if not set(due) <= set(answer):
            raise Failed(f"candidates left out {sorted(set(due) - set(answer))!r}")
        if list(answer) != [one for one in everything if one in set(answer)]:
            raise Failed(f"candidates gave {answer!r}, which is not ordered, or not within scope and filter")

    def _scan(self, step: Step, answer: Any, *, scope: Any, after: Any, limit: int) -> None:
        def row(repo: str, path: str, held: LexFile) -> Placed:
            return Placed(repo, path, held.blob_id, held.language)

        self.paged(step, answer, scope, after, limit, row)

    def _stats(self, step: Step, answer: Any, *, scope: Any) -> None:
        if self.refused(step, answer, scope):
            return
        held = list((self.shown(scope) or {}).values())
        if isinstance(answer, Exception) or not 0 <= answer.dead <= 1:
            raise Failed(f"stats gave {answer!r}")
        same(step, answer, LexStats(len(held), sum(len(one.spans) for one in held), answer.dead))


def _text(of: str) -> str:
    """The generated histories share the texts of the chunk store's; each stands for one with more words."""
    from .generations import TEXTS as SHARED

    return TEXTS[SHARED.index(of)] if of in SHARED else of


def _units(held: LexFile, unit: str) -> list[tuple[str, int, int, str]]:
    if unit == "file":
        return [("", 0, 0, held.text)]
    raw = held.text.encode()
    return [(s.chunk_id, s.start_line, s.end_line, raw[s.start_byte : s.end_byte].decode()) for s in held.spans]


def _satisfies(text: str, plan: Plan) -> bool:
    if isinstance(plan, Literal_):
        return plan.text.lower() in text.lower() if plan.ignore_case else plan.text in text
    return (all if isinstance(plan, AllOf) else any)(_satisfies(text, part) for part in plan.parts)
