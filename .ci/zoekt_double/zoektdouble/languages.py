"""What Zoekt makes of a file's name: language and category. The common part of long lists; the rest has none."""

from __future__ import annotations

import re
from typing import Literal

Category = Literal["", "test", "vendored", "generated", "binary"]

_EXTENSIONS = {
    "Python": "py pyi", "Go": "go", "Java": "java", "JavaScript": "js mjs cjs jsx", "TypeScript": "ts", "TSX": "tsx",
    "C": "c", "C++": "cpp cc cxx hpp", "C#": "cs", "Rust": "rs", "Ruby": "rb", "PHP": "php", "Shell": "sh bash",
    "Markdown": "md", "YAML": "yml yaml", "JSON": "json", "TOML": "toml", "HTML": "html", "CSS": "css", "SQL": "sql",
    "Text": "txt", "Kotlin": "kt", "Scala": "scala", "Swift": "swift", "Lua": "lua", "INI": "ini cfg", "XML": "xml",
}  # fmt: skip
_BY_EXTENSION = {extension: name for name, all_ in _EXTENSIONS.items() for extension in all_.split()}
_NAMES = {"Makefile": "Makefile", "Dockerfile": "Dockerfile"}
_ALIASES = {
    "golang": "Go", "py": "Python", "python3": "Python", "js": "JavaScript", "node": "JavaScript", "ts": "TypeScript",
    "cpp": "C++", "csharp": "C#", "rs": "Rust", "rb": "Ruby", "sh": "Shell", "bash": "Shell", "md": "Markdown",
    "yml": "YAML",
}  # fmt: skip
_ALIASES |= {name.lower(): name for name in (*_EXTENSIONS, *_NAMES.values())}

_TEST = re.compile(
    r"(?:^|/)(?:test_[^\n]*\.py|[^\n]*_test\.go|[^\n]*_(?:test|spec)\.rb|[^\n]*Tests?\.cs|[^\n]*\.(?:test|spec)\.(?:ts|tsx|js)"
    r"|test/[^\n]*Tests?\.java|test/(?:[^\n]*/)?Test[^\n]*\.java|tests/[^\n]*Test\.php)\Z"
)
_VENDORED = re.compile(
    r"(?:^|/)(?:vendors?|node_modules|dist|cache|testdata|env|extern(?:als?)?|External|\.github|\.vscode)/|^deps/|^debian/"
    r"|(?:3rd|[Tt]hird)[-_]?[Pp]arty/|(?:^|/)[Tt]ests?/fixtures/|[.-]min\.(?:js|css)\Z|\.d\.ts\Z"
    r"|(?:^|/)(?:configure|gradlew|Jenkinsfile)\Z"
)
_GENERATED_GO = re.compile(rb"^// Code generated ", re.MULTILINE)


def language_of(name: str) -> str:
    base = name.rsplit("/", 1)[-1]
    return _NAMES.get(base) or _BY_EXTENSION.get(base.rsplit(".", 1)[-1].lower() if "." in base else "", "")


def language_named(alias: str) -> str | None:
    """The language that ``lang:alias`` means."""
    return _ALIASES.get(alias.split(",", 1)[0].replace(" ", "_").lower())


def category_of(name: str, content: bytes, *, binary: bool) -> Category:
    """What makes the words of a file count a fifth; "" for a file like any other."""
    if binary:
        return "binary"
    if _TEST.search(name):
        return "test"
    if name.rsplit("/", 1)[-1].startswith("."):
        return ""
    if _VENDORED.search(name):
        return "vendored"
    if name.endswith(".go") and _GENERATED_GO.search(content):
        return "generated"
    return ""
