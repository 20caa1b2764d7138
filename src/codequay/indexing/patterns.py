"""What a definition looks like, per language: patterns that look at one line and never at a byte twice.

Each pattern begins at a line break and stays within the line. Repetition is possessive (``++``, ``*+``) or bounded,
so a line costs time in proportion to its length, whatever it holds. Group 1 is the indentation, ``kw`` the keyword
that tells the kind, ``name`` the name; a ``Rule`` without keyword has a kind of its own.
"""

# ruff: noqa: E501 - a pattern that is broken over lines is harder to read than a long one

from __future__ import annotations

import re
from functools import cached_property

KINDS = {
    b"abstract class": "class", b"actor": "class", b"annotation class": "class", b"case class": "class",
    b"class": "class", b"class_name": "class", b"contract": "class", b"const": "constant", b"constant": "constant",
    b"data": "type", b"def": "function", b"defguard": "macro", b"defimpl": "module", b"defmacro": "macro",
    b"defmacrop": "macro", b"defmodule": "module", b"defn": "function", b"defn-": "function", b"defmulti": "function",
    b"defp": "function", b"defprotocol": "protocol", b"defrecord": "record", b"deftype": "type", b"domain": "type",
    b"enum": "enum", b"event": "type", b"exception": "class", b"extension": "type", b"fn": "function",
    b"fun": "function", b"func": "function", b"function": "function", b"input": "type", b"interface": "interface",
    b"let": "variable", b"library": "module", b"macro": "macro", b"macro_rules!": "macro", b"message": "struct",
    b"method": "method", b"mod": "module", b"modifier": "function", b"module": "module", b"namespace": "module",
    b"newtype": "type", b"ns": "module", b"object": "object", b"package": "module", b"proc": "function",
    b"procedure": "function", b"protocol": "protocol", b"record": "record", b"rpc": "function",
    b"scalar": "type", b"service": "interface", b"static": "variable", b"struct": "struct", b"sub": "function",
    b"table": "type", b"template": "function", b"trait": "trait", b"trigger": "function", b"type": "type",
    b"typealias": "type", b"typedef": "type", b"union": "struct", b"val": "constant", b"var": "variable",
    b"view": "type",
}  # fmt: skip
"""Keyword -> kind. Kinds are those of ``codequay.ports.chunks``, and constant, macro, section, variable."""


class Rule:
    """One pattern. ``kind`` "" takes it from the keyword; ``call`` asks for the checks of a C-like signature.

    It is compiled when first used: all of them together take longer than a small index run.
    """

    def __init__(self, text: str | bytes, kind: str = "", call: str = "", flags: int = 0) -> None:
        self._text = text.encode() if isinstance(text, str) else text
        self._flags = flags
        self.kind = kind
        self.call = call

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        return re.compile(self._text, self._flags)


_ANNOTATION = rb"(?:@[\w.]{1,80}+(?:\([^()\n]{0,120}+\))?+[ \t]++){0,4}+"


def _keyed(
    modifiers: str,
    keywords: str,
    *,
    name: str = r"[A-Za-z_]\w*+",
    between: str = "",
    column0: bool = False,
    flags: int = 0,
) -> Rule:
    """``modifiers keyword name``. ``between`` may lie between keyword and name (a receiver, type parameters)."""
    some = f"(?:(?:{modifiers})[ \\t]++){{0,8}}+" if modifiers else ""
    indent = "" if column0 else r"[ \t]*+"
    text = rf"\n({indent})".encode() + (_ANNOTATION if modifiers else b"")
    text += rf"{some}(?P<kw>{keywords})[ \t]++{between}(?P<name>{name})".encode()
    return Rule(text, flags=flags)


def _own(pattern: str, kind: str) -> Rule:
    return Rule(rf"\n{pattern}", kind)


_STATEMENT = (
    r"(?!(?:return|new|else|throw|await|yield|case|assert|goto|delete|using|package|import|if|for|while|switch|do|catch"
    r"|typedef|not|and|or|in|is|sizeof|defined|co_return|co_await|foreach|lock|fixed|var|let|const|elif|except|with)\b)"
)
_C_HEAD = rf"{_STATEMENT}(?P<head>(?:[\w:<>,~\[\]]{{1,120}}+[ \t*&]*+){{1,10}}+)\((?P<tail>[^\n]{{0,300}}+)"
_C_CALL = Rule(rf"\n()(?=[A-Za-z_~]){_C_HEAD}", "function", "c")
_CPP_METHOD = Rule(rf"\n([ \t]{{1,16}}+)(?=[A-Za-z_~]){_C_HEAD}", "method", "cpp")
_JAVA_CALL = Rule(
    rf"\n([ \t]++){_STATEMENT}(?P<head>(?:[\w<>\[\],.?@]{{1,120}}+[ \t]++){{1,8}}"
    rf"(?P<name>[A-Za-z_]\w{{0,120}}+)[ \t]?)\((?P<tail>[^\n]{{0,300}}+)",
    "method",
    "java",
)
_JS_METHOD = Rule(
    rf"\n([ \t]{{1,16}}+){_STATEMENT}(?P<head>(?:(?:public|private|protected|static|async|readonly|get|set|override"
    rf"|abstract)[ \t]++){{0,5}}\*?(?P<name>[#A-Za-z_$][\w$]{{0,120}}+)(?:<[^>\n]{{0,120}}+>)?)"
    rf"\((?P<tail>[^\n]{{0,300}}+)",
    "method",
    "js",
)
_MACRO = _own(r"()[ \t]*+#[ \t]*+define[ \t]++(?P<name>[A-Za-z_]\w*+)", "macro")
_C_TYPE = _keyed(
    "typedef|static|extern|const|export|inline|constexpr|template<[^>\\n]{0,80}+>",
    "struct|union|enum(?: class| struct)?+|class|namespace",
    name=r"[A-Za-z_][\w:]*+(?![\w:]*[ \t]*+[;*&(=)])",
    between=r"(?:[A-Z][A-Z0-9_]{2,40}+[ \t]++)?",
)
_JVM = (
    "public|private|protected|internal|static|abstract|final|open|override|sealed|data|case|inline|suspend|tailrec|operator"
    "|infix|external|companion|annotation|inner|value|implicit|lazy|non-sealed|strictfp|partial|readonly|unsafe|new|async"
    "|virtual|extern|enum|lateinit|const|actual|expect|default|file|ref|required|convenience|mutating|fileprivate|indirect"
    "|weak|dynamic|optional|nonisolated|package|base|mixin"
)
_JS_KEYED = _keyed(
    "export|default|declare|abstract|async|const|public|private",
    r"class|interface|enum|type|namespace|module|function\b\*?+",
    name=r"[A-Za-z_$][\w$.]*+",
)
_JS_KEYED_STAR = _own(
    r"()(?:export[ \t]++)?(?:async[ \t]++)?function[ \t]*+\*[ \t]*+(?P<name>[A-Za-z_$][\w$]*+)", "function"
)
_JS_VAR = _keyed("export|default|declare", "const|let|var", name=r"[A-Za-z_$][\w$]*+(?=[ \t]*+[:=])", column0=True)
_JS = (_JS_KEYED, _JS_KEYED_STAR, _JS_VAR, _JS_METHOD)
_HEADING = _own(r"()#{1,6}[ \t]++(?P<name>[^\n]{1,120}+)", "section")
_ML = _keyed(
    "",
    "let(?: rec| inline)?+|and|type(?: nonrec)?+|module(?: type| rec)?+|class|exception|val",
    name=r"[A-Za-z_][\w']*+",
)

RULES: dict[str, tuple[Rule, ...]] = {
    "bash": (
        _own(r"([ \t]*+)(?:function[ \t]++)?(?P<name>[A-Za-z_][\w:.-]{0,80}+)[ \t]*+\([ \t]*+\)", "function"),
        _own(r"([ \t]*+)function[ \t]++(?P<name>[A-Za-z_][\w:.-]{0,80}+)[ \t]*+(?:\{|$)", "function"),
    ),
    "c": (_C_CALL, _MACRO, _C_TYPE),
    "clojure": (
        _own(r"([ \t]*+)\((?P<kw>defn-?+|defmacro|defmulti|defprotocol|defrecord|deftype|def|ns)[ \t]++(?:\^\S{1,80}+[ \t]++)?(?P<name>[^\s()\[\]{}\"]{1,120}+)", ""),
    ),
    "cmake": (_own(r"([ \t]*+)(?:function|macro)[ \t]*+\([ \t]*+(?P<name>\w++)", "function"),),
    "cpp": (_C_CALL, _CPP_METHOD, _MACRO, _C_TYPE, _own(r"([ \t]*+)using[ \t]++(?P<name>\w++)[ \t]*+=", "type")),
    "csharp": (_keyed(_JVM, "class|interface|struct|enum|record|namespace", name=r"[A-Za-z_][\w.]*+"), _JAVA_CALL),
    "dart": (_keyed(_JVM, "class|mixin|enum|extension|typedef"), _JAVA_CALL),
    "elixir": (
        _keyed("", "defmodule|defp|defmacrop|defmacro|defprotocol|defimpl|defguard|def", name=r"[A-Za-z_][\w.]*+[?!]?+"),
    ),
    "erlang": (_own(r"()(?P<name>[a-z]\w{0,80}+)\([^\n]{0,200}+(?<=->)", "function"), _own(r"()-(?:record|define|module)\([ \t]*+(?P<name>\w++)", "type")),
    "fsharp": (_ML,),
    "go": (
        _own(r"()func[ \t]++\([^)\n]{0,200}+\)[ \t]*+(?P<name>\w++)", "method"),
        _keyed("", "func|type|const|var", column0=True),
        _own(r"(\t)(?P<name>[A-Za-z_]\w*+)[ \t]++(?P<kw>struct|interface)\b", ""),
    ),
    "graphql": (_keyed("extend", "type|interface|enum|input|scalar|union", column0=True),),
    "groovy": (_keyed(_JVM, "class|interface|trait|enum|def"), _JAVA_CALL),
    "haskell": (
        _keyed("", "data|newtype|type|class|module", name=r"[A-Z][\w.']*+", column0=True),
        _own(r"()(?P<name>[a-z_][\w']{0,80}+)[ \t]*+::", "function"),
    ),
    "java": (_keyed(_JVM, "class|interface|enum|record|@interface"), _JAVA_CALL),
    "javascript": _JS,
    "julia": (_keyed("mutable|abstract|primitive", "function|struct|macro|module|type|const", name=r"[A-Za-z_][\w.!]*+"),),
    "kotlin": (
        _keyed(_JVM, "class|interface|object|fun|typealias", between=r"(?:<[^>\n]{0,120}+>[ \t]*+)?(?:[\w.<>?]{1,80}\.)?"),
        _keyed(_JVM, "val|var", column0=True),
    ),
    "lua": (
        _keyed("local", "function", name=r"[A-Za-z_][\w.:]*+"),
        _own(r"([ \t]*+)(?:local[ \t]++)?(?P<name>[A-Za-z_][\w.]{0,80}+)[ \t]*+=[ \t]*+function\b", "function"),
    ),
    "make": (_own(r"()(?P<name>[A-Za-z_][\w.-]{0,80}+)[ \t]*+:(?!=)", "function"),),
    "markdown": (_HEADING,),
    "nim": (_keyed("", "proc|func|method|template|macro|type", name=r"[A-Za-z_]\w*+"),),
    "objc": (
        _own(r"()@(?:interface|implementation|protocol)[ \t]++(?P<name>\w++)", "class"),
        _own(r"()[-+][ \t]*+\([^)\n]{0,120}+\)[ \t]*+(?P<name>\w++)", "method"),
        _C_CALL,
        _MACRO,
        _C_TYPE,
    ),
    "ocaml": (_ML,),
    "perl": (_keyed("", "sub|package", name=r"[A-Za-z_][\w:]*+"),),
    "php": (
        _keyed("public|private|protected|static|abstract|final|readonly", "class|interface|trait|enum|function|const", between="&?"),
    ),
    "powershell": (_keyed("", "function|filter|class|enum", name=r"[A-Za-z_][\w:-]*+", flags=re.IGNORECASE),),
    "protobuf": (_keyed("", "message|enum|service|rpc"),),
    "python": (
        _keyed("async|cpdef|cdef|cpdef inline|cdef inline", "def|class"),
        _own(r"()(?P<name>[A-Za-z_]\w{0,120}+)[ \t]*+(?::[^=\n]{1,120}+)?=(?!=)", "variable"),
    ),
    "r": (_own(r"()(?P<name>[A-Za-z.][\w.]{0,80}+)[ \t]*+(?:<-|=)[ \t]*+function\b", "function"),),
    "ruby": (
        _keyed("private|protected|public|module_function", "def|class|module", name=r"[A-Za-z_][\w:]*+[?!=]?+", between=r"(?:self\.)?"),
        _own(r"([ \t]*+)(?P<name>[A-Z][A-Z0-9_]{1,80}+)[ \t]*+=(?![=~])", "constant"),
    ),
    "rust": (
        _keyed(
            r"pub(?:\([a-z: ]{1,40}+\))?+|default|async|unsafe|const|extern(?: \"[^\"\n]{0,20}+\")?+",
            "fn|struct|enum|trait|union|mod|type|macro_rules!",
        ),
        _keyed(r"pub(?:\([a-z: ]{1,40}+\))?+", "const|static(?: mut)?+", column0=True),
    ),
    "scala": (_keyed(_JVM, "class|object|trait|enum|def|type"), _keyed(_JVM, "val|var", column0=True)),
    "solidity": (_keyed("abstract", "contract|interface|library|struct|enum|function|modifier|event"),),
    "sql": (
        _keyed(
            "create|or replace|or alter|temporary|temp|unique|materialized",
            "table|view|function|procedure|trigger|type|domain",
            name=r"[\w.]++",
            between=r"(?:if not exists[ \t]++)?[\"`\[]?",
            flags=re.IGNORECASE,
        ),
    ),
    "svelte": _JS,
    "swift": (_keyed(_JVM, "class|struct|enum|protocol|extension|actor|func|typealias"), _keyed(_JVM, "let|var", column0=True)),
    "terraform": (_own(r"()(?:resource|data|module|variable|output|provider)[ \t]++(?P<name>\"[^\n{]{1,120}+)", "type"),),
    "toml": (_own(r"()\[{1,2}(?P<name>[^\]\n]{1,120}+)\]", "section"),),
    "tsx": _JS,
    "typescript": _JS,
    "vue": _JS,
    "zig": (
        _keyed("pub|export|inline|extern", "fn"),
        _own(r"([ \t]*+)(?:pub[ \t]++)?const[ \t]++(?P<name>\w++)[ \t]*+=[ \t]*+(?:packed |extern )?(?P<kw>struct|enum|union)\b", ""),
    ),
}  # fmt: skip
