# ruff: noqa: E501 - a sample stays on one line with what it defines
"""Definitions, and that no text makes the scanner slow."""

from __future__ import annotations

import time

import pytest

from codequay.indexing.patterns import RULES
from codequay.indexing.scan import scan

SAMPLES = {
    "python": ("class A:\n    def m(self): ...\n\nasync def f(x):\n    pass\nLIMIT: int = 3\n", "A class, m method, f function, LIMIT variable"),
    "javascript": ("export default class A {\n  run(x) {\n  }\n}\nfunction f() {}\nconst g = () => 1\n", "A class, run method, f function, g constant"),
    "typescript": ("export interface I {\n}\nexport async function f<T>(): T {\n}\n  if (x) {\n  it('x', () => {\n", "I interface, f function"),
    "java": ("public final class A {\n  public static int f(int x) {\n    return g(x);\n  }\n  void h();\n}\n", "A class, f method, h method"),
    "go": ("package p\nfunc (s *S) M(x int) {\n}\nfunc F() {\n}\ntype S struct {\n", "M method, F function, S type"),
    "rust": ("pub struct S;\nimpl S {\n    pub fn m(&self) {}\n}\nmacro_rules! mac {\n", "S struct, m method, mac macro"),
    "c": ("#define LIMIT 3\nstatic int f(int a,\n   int b)\n{\n}\nint g(void);\nstruct s {\n", "LIMIT macro, f function, s struct"),
    "cpp": ("namespace n {\nclass A {\n  int m(int x) {\n  }\n};\nvoid A::f() {\n}\n", "n module, A class, m method, f function"),
    "ruby": ("module M\n  class A\n    def self.f?\n    end\n", "M module, A class, f? method"),
    "bash": ("f() {\n}\nfunction g {\n", "f function, g function"),
    "kotlin": ("data class A(val x: Int)\nfun String.f() = 1\n", "A class, f function"),
    "elixir": ("defmodule A.B do\n  def f?(x) do\n", "A.B module, f? function"),
    "markdown": ("# Top #\ntext\n## Next\n", "Top section, Next section"),
    "sql": ("CREATE OR REPLACE FUNCTION f()\ncreate table if not exists t (\n", "f function, t type"),
}  # fmt: skip


@pytest.mark.parametrize("language", SAMPLES)
def test_definitions_are_found(language: str) -> None:
    text, expected = SAMPLES[language]
    found = scan(text.encode(), language, budget_s=5)
    assert found is not None
    assert ", ".join(f"{one.name} {one.kind}" for one in found) == expected
    for one in found:
        assert text.encode()[one.at :].startswith(one.name.encode())
        assert one.start == 0 or text.encode()[one.start - 1 : one.start] == b"\n"


LINES = (
    b"f(a)", b"f(a)\n", b" ", b"a ", b"a b(\n", b"\n", b"int a::b<c>, *&", b"@a ", b"@a(", b"public ", b"export ",
    b"x.", b"  foo(a) {\n", b"#", b"(def ", b"a<", b"A", b"create or replace ", b"  f(x)}{ \n", b"def ", b"{[(",
)  # fmt: skip


@pytest.mark.parametrize("language", RULES)
def test_a_megabyte_of_anything_takes_less_than_two_seconds(language: str) -> None:
    for line in LINES:
        text = line * (1_000_000 // len(line))
        began = time.process_time()
        scan(text, language, budget_s=60)
        assert time.process_time() - began < 2, line


def test_a_used_up_budget_is_said() -> None:
    assert scan(b"def f(): pass\n" * 10_000, "python", budget_s=0) is None
