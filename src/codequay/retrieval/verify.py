"""Conditions on a file: phrases, exclusions, ``sym:`` and alternatives, checked on path, language and text."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..ports.lexical import Where
from .query import All, Atom, Node, Not, OneOf, Phrase, Word


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a file when its conditions are checked. ``text`` is None until somebody needs it."""

    repo_id: str
    path: str
    language: str
    text: str
    defines: Collection[str]


class Verifier:
    """Checks conditions; one per query, so that case folding of the query happens once."""

    def __init__(self, conditions: Sequence[Node], *, match_case: bool) -> None:
        self._conditions = conditions
        self._match_case = match_case
        self._patterns: dict[str, re.Pattern[str]] = {}
        self.needs_text = any(_reads_text(node) for node in conditions)

    def holds(self, facts: FileFacts) -> bool:
        """Whether every condition holds."""
        text = facts.text if self._match_case else facts.text.lower()
        return all(self._holds(node, facts, text) for node in self._conditions)

    def _holds(self, node: Node, facts: FileFacts, text: str) -> bool:
        if isinstance(node, (Phrase, Word)):
            return self._fold(node.text) in text
        if isinstance(node, Not):
            if isinstance(node.part, Word):
                return self._whole_word(node.part.text).search(text) is None
            return not self._holds(node.part, facts, text)
        if isinstance(node, OneOf):
            return any(self._holds(part, facts, text) for part in node.parts)
        if isinstance(node, All):
            words = [part for part in node.parts if isinstance(part, Word)]
            if len(words) == len(node.parts):
                return any(self._holds(word, facts, text) for word in words)
            return all(self._holds(part, facts, text) for part in node.parts if not isinstance(part, Word))
        return _atom_holds(node, facts)

    def holds_phrase(self, text: str, phrases: Sequence[str]) -> bool:
        """Whether a chunk holds one of the phrases."""
        text = self._fold(text)
        return any(self._fold(phrase) in text for phrase in phrases)

    def _fold(self, text: str) -> str:
        return text if self._match_case else text.lower()

    def _whole_word(self, word: str) -> re.Pattern[str]:
        found = self._patterns.get(word)
        if found is None:
            found = self._patterns[word] = re.compile(rf"(?<!\w){re.escape(self._fold(word))}(?!\w)")
        return found


def _atom_holds(atom: Atom, facts: FileFacts) -> bool:
    if atom.field == "file":
        return Where(contains=(atom.value,)).admits(facts.path, facts.language)
    if atom.field == "lang":
        return facts.language == atom.value
    if atom.field == "repo":
        return atom.value.lower() in facts.repo_id.lower()
    return atom.value in facts.defines


def _reads_text(node: Node) -> bool:
    if isinstance(node, (Phrase, Word)):
        return True
    if isinstance(node, Not):
        return _reads_text(node.part)
    return isinstance(node, (All, OneOf)) and any(_reads_text(part) for part in node.parts)
