"""Any text is a query; what is written as a query means that; and what an index is asked is never narrower."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from codequay.ports.lexical import AllOf, AnyOf, Literal_, Plan
from codequay.retrieval.prepare import literal_plan, prepare
from codequay.retrieval.query import All, Atom, Node, Not, OneOf, Phrase, Word, parse, words_of
from codequay.retrieval.verify import FileFacts, Verifier

SYNTAX = st.sampled_from(
    ['"', "(", ")", "-", "or", "OR", " ", "\n", "\\", ":", "file:", "sym:", "case:yes", "-(", '-"']
)
TYPED = st.lists(SYNTAX | st.sampled_from(["a", "İ", "ß", "x_y", "-1", "\x85", "é"]) | st.characters(), max_size=40)
QUERIES = TYPED.map("".join) | st.text(max_size=60)

LETTERS = st.text("abcxyzé", min_size=1, max_size=4)
WORDS = LETTERS.map(Word)
PHRASES = st.text('ab "\\()-:é', min_size=1, max_size=8).filter(str.strip).map(Phrase)
ATOMS = st.builds(Atom, st.sampled_from(["repo", "file", "sym"]), LETTERS)
LEAVES = WORDS | PHRASES | ATOMS


def groups(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Conjunctions and alternatives of two and more, and what is excluded."""
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    negatable = inner.filter(lambda node: not isinstance(node, Not))
    return several.map(All) | several.map(OneOf) | negatable.map(Not)


NODES: st.SearchStrategy[Node] = st.recursive(LEAVES, groups, max_leaves=8)


def written(node: Node) -> str:
    """The node as somebody would type it inside a query."""
    if isinstance(node, Word):
        return node.text
    if isinstance(node, Phrase):
        return '"' + node.text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(node, Atom):
        return f"{node.field}:{node.value}"
    if isinstance(node, Not):
        return "-" + written(node.part)
    between = " or " if isinstance(node, OneOf) else " "
    return "(" + between.join(map(written, node.parts)) + ")"


@given(QUERIES)
def test_every_text_is_a_query_and_becomes_a_request(text: str) -> None:
    query = parse(text)
    assert isinstance(query.root, All | OneOf)
    assert all(word.strip() for word in words_of(query.root))
    asked = prepare(query)
    assert all(term.text and term.weight > 0 for term in asked.terms)
    assert parse(text) == query


@given(QUERIES)
def test_switched_off_the_syntax_leaves_words_only(text: str) -> None:
    query = parse(text, literal=True)
    assert words_of(query.root) == text.strip().split()


@given(WORDS, st.lists(NODES, min_size=1, max_size=3))
def test_what_is_written_is_what_is_meant(first: Node, rest: list[Node]) -> None:
    parts = (first, *rest)
    assert parse(" ".join(map(written, parts))).root == All(parts)
    assert parse(" or ".join(map(written, parts))).root == OneOf(parts)


def admits(plan: Plan, text: str) -> bool:
    """What a perfect index answers."""
    if isinstance(plan, Literal_):
        return plan.text.lower() in text.lower() if plan.ignore_case else plan.text in text
    if isinstance(plan, AllOf):
        return all(admits(part, text) for part in plan.parts)
    assert isinstance(plan, AnyOf)
    return any(admits(part, text) for part in plan.parts)


def texts_in(node: Node) -> list[str]:
    """What the node speaks of, also what it excludes."""
    if isinstance(node, Word | Phrase):
        return [node.text]
    if isinstance(node, Not):
        return texts_in(node.part)
    return [text for part in node.parts for text in texts_in(part)] if isinstance(node, All | OneOf) else []


@given(st.data(), st.lists(NODES, min_size=1, max_size=3), st.booleans())
def test_the_index_is_never_asked_for_less_than_the_query_wants(
    data: st.DataObject, nodes: list[Node], match_case: bool
) -> None:
    said = [text for node in nodes for text in texts_in(node)]
    text = " ".join(data.draw(st.lists(st.sampled_from([*said, "abc", "É"]), max_size=6), "text"))
    facts = FileFacts("repo", "a/b.py", "python", text, {"a", "abc"})
    if Verifier(nodes, match_case=match_case).holds(facts):
        assert admits(literal_plan(tuple(nodes), ignore_case=not match_case), text)
