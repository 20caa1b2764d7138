"""The cache as a dictionary of values and times."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from codequay.ports.cache import ABSENT, NO_EXPIRY

from ..case import LONGEST_INJECTED_TTL_S
from ..expect import Failed, near
from ..model import KEYS, Step, same

_key = st.one_of(st.sampled_from(KEYS[:3]), st.sampled_from(KEYS))
"""Half of the steps meet at few keys: what a step leaves, a later one finds."""
_value = st.sampled_from((b"", b"\0\xff", b"a", b"b" * 300))
_ttl = st.sampled_from((None, 20.0, 50.0))
_pairs = st.dictionaries(_key, _value, max_size=4)

STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(lambda k, v, t: Step("set", (k, v), {"ttl": t}), _key, _value, _ttl),
    st.builds(lambda p, t: Step("set_many", (p,), {"ttl": t}), _pairs, _ttl),
    st.builds(lambda k, v, t: Step("add", (k, v), {"ttl": t}), _key, _value, _ttl),
    st.builds(lambda k: Step("get", (k,)), _key),
    st.builds(lambda ks: Step("get_many", (ks,)), st.lists(_key, max_size=5)),
    st.builds(lambda ks: Step("delete", (ks,)), st.lists(_key, max_size=3)),
    st.builds(lambda k: Step("ttl", (k,)), _key),
    st.builds(lambda p: Step("purge", (p,)), st.sampled_from(("k", "1", "ä"))),
    st.builds(
        lambda p, a, n: Step("scan", (), {"prefix": p, "after": a, "limit": n}),
        st.sampled_from(("", "k", "1")),
        st.one_of(st.none(), _key),
        st.integers(1, 4),
    ),
    st.builds(lambda s: Step("advance", (s,)), st.sampled_from((1.0, 9.0, 20.0))),
)

STEPS_1_2: st.SearchStrategy[Step] = st.one_of(STEPS, st.builds(lambda k: Step("exists", (k,)), _key))
"""With what contract 1.2 brought."""


class CacheModel:
    """Key -> (value, expiry)."""

    def __init__(self, capabilities: Any) -> None:
        self._server_time: bool = capabilities.min_ttl > LONGEST_INJECTED_TTL_S
        self._within = 15.0 if self._server_time else 0.01
        self._now = 0.0
        self._entries: dict[str, tuple[bytes, float | None]] = {}

    def ready(self, step: Step) -> Step | None:
        """A server's clock is not moved: there values with a ttl outlive the history."""
        return None if self._server_time and step.op == "advance" else step

    def check(self, step: Step, answer: Any) -> None:
        self._expire()
        expected = getattr(self, f"_{step.op}")(*step.args, **step.options)
        self._expire()
        if step.op == "scan":
            keys = tuple(answer.keys)
            if keys != expected[0] or answer.after != expected[1]:
                raise Failed(f"scan gave {keys!r}, then {answer.after!r}; the answer is {expected!r}")
        elif step.op != "advance":
            same(step, answer, expected)

    def _expire(self) -> None:
        self._entries = {k: e for k, e in self._entries.items() if e[1] is None or e[1] > self._now}

    def _advance(self, seconds: float) -> None:
        self._now += seconds

    def _set(self, key: str, value: bytes, ttl: float | None) -> None:
        self._entries[key] = (value, None if ttl is None else self._now + ttl)

    def _set_many(self, values: dict[str, bytes], ttl: float | None) -> None:
        for key, value in values.items():
            self._set(key, value, ttl)

    def _add(self, key: str, value: bytes, ttl: float | None) -> bool:
        if key in self._entries:
            return False
        self._set(key, value, ttl)
        return True

    def _get(self, key: str) -> bytes | None:
        return self._entries.get(key, (None, None))[0]

    def _get_many(self, keys: list[str]) -> list[bytes | None]:
        return [self._get(key) for key in keys]

    def _exists(self, key: str) -> bool:
        return key in self._entries

    def _delete(self, keys: list[str]) -> int:
        return sum(self._entries.pop(key, None) is not None for key in dict.fromkeys(keys))

    def _ttl(self, key: str) -> Any:
        if key not in self._entries:
            return ABSENT
        expiry = self._entries[key][1]
        return NO_EXPIRY if expiry is None else near(expiry - self._now, self._within)

    def _purge(self, prefix: str) -> None:
        self._entries = {k: e for k, e in self._entries.items() if not k.startswith(prefix)}

    def _scan(self, prefix: str, after: str | None, limit: int) -> tuple[tuple[str, ...], str | None]:
        keys = sorted(k for k in self._entries if k.startswith(prefix) and (after is None or k > after))
        page = tuple(keys[:limit])
        return page, page[-1] if len(keys) > limit else None
