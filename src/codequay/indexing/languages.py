"""The language of a file: by name, then extension, then its first line."""

from __future__ import annotations

import re

_EXTENSIONS = {
    "bash": "sh bash zsh ksh bats",
    "c": "c",
    "clojure": "clj cljs cljc edn",
    "cpp": "cc cpp cxx c++ hh hpp hxx h++ ipp inl tpp cu cuh",
    "csharp": "cs csx",
    "css": "css scss sass less",
    "dart": "dart",
    "elixir": "ex exs",
    "erlang": "erl hrl",
    "fsharp": "fs fsi fsx",
    "go": "go",
    "graphql": "graphql gql",
    "groovy": "groovy gradle",
    "haskell": "hs lhs",
    "html": "html htm xhtml",
    "ini": "ini cfg conf properties",
    "java": "java",
    "javascript": "js mjs cjs jsx",
    "json": "json jsonc json5 ipynb",
    "julia": "jl",
    "kotlin": "kt kts",
    "lua": "lua",
    "markdown": "md markdown mdx",
    "nim": "nim",
    "objc": "m mm",
    "ocaml": "ml mli",
    "perl": "pl pm t",
    "php": "php phtml",
    "powershell": "ps1 psm1",
    "protobuf": "proto",
    "python": "py pyi pyw pyx pxd",
    "r": "r R",
    "rst": "rst",
    "ruby": "rb rake gemspec ru",
    "rust": "rs",
    "scala": "scala sc",
    "solidity": "sol",
    "sql": "sql",
    "svelte": "svelte",
    "swift": "swift",
    "terraform": "tf hcl",
    "text": "txt",
    "toml": "toml",
    "tsx": "tsx",
    "typescript": "ts mts cts",
    "vue": "vue",
    "xml": "xml xsd xsl svg",
    "yaml": "yml yaml",
    "zig": "zig",
}
BY_EXTENSION = {ext: language for language, exts in _EXTENSIONS.items() for ext in exts.split()}
BY_NAME = {
    "CMakeLists.txt": "cmake",
    "Dockerfile": "dockerfile",
    "Gemfile": "ruby",
    "GNUmakefile": "make",
    "Jenkinsfile": "groovy",
    "Makefile": "make",
    "Rakefile": "ruby",
    "makefile": "make",
}
_INTERPRETERS = {
    "bash": "bash", "dash": "bash", "elixir": "elixir", "ksh": "bash", "lua": "lua", "node": "javascript",
    "perl": "perl", "php": "php", "python": "python", "Rscript": "r", "ruby": "ruby", "sh": "bash", "zsh": "bash",
}  # fmt: skip
_PROGRAM = re.compile(r"[A-Za-z]+")
_CPP_HEADER = re.compile(rb"\n[ \t]{0,8}(?:class|namespace|template|using|public:|private:)\b|\bstd::|extern \"C\"")
_HEADER_BYTES = 20_000
"""How far a ``.h`` is read to tell C++ from C: beyond licence and includes."""


def language_of(path: str, data: bytes) -> str:
    """The language's name, "text" when it is not known. ``data`` is the text in UTF-8."""
    name = path.rpartition("/")[2]
    found = BY_NAME.get(name)
    if found:
        return found
    stem, dot, ext = name.rpartition(".")
    if dot and stem:
        if ext in ("h", "H"):
            return "cpp" if _CPP_HEADER.search(data, 0, _HEADER_BYTES) else "c"
        found = BY_EXTENSION.get(ext) or BY_EXTENSION.get(ext.lower())
        if found:
            return found
    if data.startswith(b"#!"):
        return _INTERPRETERS.get(_interpreter(data[2:300].split(b"\n", 1)[0].decode("utf-8", "replace")), "text")
    return "text"


def _interpreter(line: str) -> str:
    """The program of a first line, without folder and version: "python" of "/usr/bin/env -S python3.11 -u"."""
    words = line.split()
    if words and words[0].endswith("/env"):
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    found = _PROGRAM.match(words[0].rpartition("/")[2]) if words else None
    return found[0] if found else ""
