"""The one renderer: an answer object becomes text for people or JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from codequay.ports.errors import Conflict, Internal, PortError

from .exit_codes import flatten

if TYPE_CHECKING:
    from codequay.app import Hit, IndexAnswer, SearchAnswer, ShowAnswer

    from .output import Output

SEE_CAUSE = "run again with -v to see the cause"


def to_json(value: Any) -> Any:
    """Frozen values as JSON values, by field name."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(inner) for inner in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def index(out: Output, answer: IndexAnswer) -> None:
    """One repository, indexed."""
    for note in answer.notes:
        out.note(note)
    if out.options.format != "text":
        out.json(to_json(answer))
        return
    skipped = sum(answer.skipped.values())
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(answer.skipped.items()))
    where = "" if answer.snapshot == "worktree" else f"{out.name(answer.snapshot)}  "
    out.data(
        f"{out.style('bold', out.name(answer.repo))}  {where}generation {answer.generation}: {answer.files} files, "
        f"{answer.chunks} chunks, {size(answer.bytes)} in {answer.seconds:.1f} s{_changed(answer)}"
        + (f"; {skipped} skipped ({why})" if skipped else "")
    )
    if answer.data:
        out.detail(f"index: {answer.data}")


def search(out: Output, answer: SearchAnswer) -> None:
    """The envelope; as text one line per hit, ``path:start-end: line``."""
    if out.options.format == "json":
        out.json(to_json(answer))
    elif out.options.format == "jsonl":
        for hit in answer.hits:
            out.json(to_json(hit))
        out.json({key: value for key, value in to_json(answer).items() if key != "hits"})
    else:
        several = len(answer.freshness) > 1
        for hit in answer.hits:
            out.data(_hit(out, hit, several=several))
            _folded(out, hit)
    for note in (*answer.notes, *answer.degraded, *_cold(answer)):
        out.note(note)
    out.detail("timing: " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in answer.timing_ms.items()))


def behind(answer: SearchAnswer) -> bool:
    """Whether the answer comes from an index that is known not to be whole."""
    partial = any(coverage.state in ("partial", "cold") for coverage in answer.coverage.values())
    return partial or any(hit.stale for hit in answer.hits)


def _cold(answer: SearchAnswer) -> Iterator[str]:
    """The arms that cannot answer. What makes one partial is among the notes."""
    for arm, coverage in answer.coverage.items():
        if coverage.state == "cold":
            yield f"{arm} is cold" + (f"; {coverage.remedy}" if coverage.remedy else "")


def show(out: Output, answer: ShowAnswer) -> None:
    """The text; on a terminal with a heading and line numbers."""
    for note in answer.notes:
        out.note(note)
    if answer.stale and not answer.notes:
        out.note(f"{answer.path} has changed since it was indexed")
    if out.options.format != "text":
        out.json(to_json(answer))
        return
    lines = answer.text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if not out.tty:
        for line in lines:
            out.data(line)
        return
    named = f"  {answer.kind} {out.name(answer.symbol)}" if answer.symbol else ""
    out.data(f"{out.style('path', out.name(answer.path))}:{answer.start_line}-{answer.end_line}{named}")
    width = len(str(answer.end_line))
    for number, line in enumerate(lines, answer.start_line):
        out.data(f"{out.style('line', f'{number:>{width}}')}  {out.text(line)}")


def table(out: Output, rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the last one runs free."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [out.name(cell).ljust(width) for cell, width in zip(row, widths, strict=True)]
        out.data("  ".join(cells).rstrip())


def error(out: Output, exc: BaseException) -> None:
    """Three lines per error on stderr; under a JSON format one object on stdout."""
    errors = [_as_port_error(e, out.command) for e in flatten(exc)]
    if out.options.format != "text":
        first, *others = (e.to_json() for e in errors)
        out.json({"error": first, **({"errors": [first, *others]} if others else {})})
        return
    for e in errors:
        component = f"{e.component}/" if e.component else ""
        out.err(f"error[{component}{e.code}]: {e.message}")
        if e.at:
            out.err(f"at: {e.at}")
        if e.remedy:
            out.err(f"fix: {e.remedy}")


def _as_port_error(exc: BaseException, command: str) -> PortError:
    if isinstance(exc, PortError):
        if not exc.at or not exc.remedy:
            exc.at = exc.at or exc.component or command
            exc.remedy = exc.remedy or ("try again" if exc.retryable or isinstance(exc, Conflict) else SEE_CAUSE)
        return exc
    return Internal(
        f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__,
        component="cli",
        at=command,
        remedy="run again with -v and report what it prints",
    )


def _hit(out: Output, hit: Hit, *, several: bool) -> str:
    lines = hit.text.split("\n")
    offset = hit.line - hit.start_line if hit.line else 0
    line = lines[offset] if 0 <= offset < len(lines) else lines[0]
    where = f"{out.name(hit.repo)}:" if several else ""
    path = out.style("path", out.name(hit.path))
    span = out.style("line", f"{hit.start_line}-{hit.end_line}")
    stale = out.style("dim", " (stale)") if hit.stale else ""
    return f"{where}{path}:{span}: {_shorten(out.name(line.strip()))}{stale}"


def _folded(out: Output, hit: Hit) -> None:
    if hit.also:
        out.detail(f"  also in {hit.path}: " + ", ".join(f"{start}-{end}" for start, end in hit.also))


def _changed(answer: IndexAnswer) -> str:
    """What differs from the last run; nothing of a first one, where every file does."""
    first = answer.changed_files >= answer.files and not answer.removed_files
    if first or not (answer.changed_files or answer.removed_files):
        return ""
    return f"; {answer.changed_files} changed, {answer.removed_files} removed"


def _shorten(line: str, limit: int = 200) -> str:
    """A minified line would fill the screen; 200 characters show what it is."""
    return line if len(line) <= limit else line[: limit - 1] + "…"


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
