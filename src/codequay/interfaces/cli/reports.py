"""Renders what upkeep answers: status, repositories, garbage, findings, runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .render import size, table, to_json

if TYPE_CHECKING:
    from codequay.app import (
        DoctorAnswer,
        FileReport,
        GcAnswer,
        RemoveAnswer,
        RepoGarbage,
        ReposAnswer,
        RepoStatus,
        RunReport,
        RunsAnswer,
        StatusAnswer,
        WatchEvent,
    )

    from .output import Output

_LEVEL_STYLE = {"ok": "line", "warning": "bold", "error": "error"}
_FILE_STATE = {
    "left_out": "left out: version control or .codequayignore ignores it",
    "new": "new: not indexed yet",
    "changed": "changed since the last index run",
    "removed": "removed since the last index run",
}
_RUN_STATE = {"killed": "did not end"}


def status(out: Output, answer: StatusAnswer) -> None:
    """The file asked for; else each repository with its stores, then the files that were to be listed."""
    if out.options.format == "json":
        out.json(to_json(answer))
    elif out.options.format == "jsonl":
        for one in (answer.file,) if answer.file else (*answer.repos, *answer.files):
            out.json(to_json(one))
    elif answer.file is not None:
        _file(out, answer.file)
    else:
        out.data(f"index  {out.name(answer.data)}")
        for repo in answer.repos:
            _repo(out, repo)
        for file in answer.files:
            _file(out, file)
    if answer.unheld:
        out.note(f"only another machine or index folder has indexed {', '.join(map(out.name, answer.unheld))}")


def _repo(out: Output, repo: RepoStatus) -> None:
    revision = f" at {repo.revision[:12]}" if repo.revision else ""
    out.data(f"{out.style('bold', out.name(repo.repo))}  generation {repo.generation}{revision}")
    if repo.snapshot.partition(":")[0] == "rev":
        out.data(f"  revision {out.name(repo.snapshot.partition(':')[2])}")
    out.data(f"  root     {out.name(repo.root)}")
    out.data(f"  content  {_count(repo.files, 'file')}, {_count(repo.chunks, 'chunk')}, {size(repo.bytes)}")
    if repo.pending:
        out.data(f"  pending  {_count(repo.pending, 'file')} changed since they were indexed")
    if repo.moved_to:
        out.data(f"  pending  the revision is {repo.moved_to[:12]} now; codequay index --rev reads it")
    if repo.skipped:
        out.data("  skipped  " + ", ".join(f"{n} {reason}" for reason, n in sorted(repo.skipped.items())))
    for port in sorted({*repo.stores, *repo.cold}):
        whose = "another machine or index folder published this generation; " if port in repo.elsewhere else ""
        cold = f"cold: {whose}run codequay index" if port in repo.cold else ""
        out.data(f"  {port:<8} " + "  ".join(filter(None, (repo.stores.get(port, ""), cold))))


def _file(out: Output, file: FileReport) -> None:
    told = [_FILE_STATE.get(file.state, file.state)]
    if file.chunks or file.language:
        told.append(f"{file.language or 'text'}, {_count(file.chunks, 'chunk')}")
    why = ": ".join(filter(None, (file.reason, file.detail)))
    if why:
        told.append(why)
    out.data(f"{out.style('path', out.name(file.path))}  {'  '.join(out.name(part) for part in told)}")


def runs(out: Output, answer: RunsAnswer) -> None:
    """A line per run, newest first."""
    if out.options.format == "json":
        out.json(to_json(answer))
    elif out.options.format == "jsonl":
        for run in answer.runs:
            out.json(to_json(run))
    elif answer.runs:
        table(out, [("STARTED", "WHAT", "STATE", "SECONDS", "GENERATION", "FILES"), *map(_run, answer.runs)])
    else:
        out.note("no run is on record")


def _run(run: RunReport) -> tuple[str, ...]:
    files = f"{run.changed_files} changed, {run.removed_files} removed" if run.generation else run.message
    return (
        _when(run.at),
        f"{run.kind} {run.repo or run.path}",
        " ".join(filter(None, (_RUN_STATE.get(run.state, run.state), run.error))),
        "" if run.seconds is None else f"{run.seconds:.1f}",
        str(run.generation or ""),
        files,
    )


def repos(out: Output, answer: ReposAnswer) -> None:
    """Each repository and what its names show."""
    if out.options.format == "json":
        out.json(to_json(answer))
        return
    if out.options.format == "jsonl":
        for repo in answer.repos:
            out.json(to_json(repo))
        return
    out.data(f"index  {out.name(answer.data)}")
    for repo in answer.repos:
        out.data(f"{out.style('bold', out.name(repo.repo))}  {out.name(repo.root)}")
        for one in repo.snapshots:
            at = f" at {one.revision[:12]}" if one.revision else ""
            content = f"{_count(one.files, 'file')}, {size(one.bytes)}, {_when(one.published_at)}"
            out.data(f"  {out.name(one.snapshot)}  generation {one.generation}{at}, {content}")
        if not repo.snapshots:
            out.data("  removed, or never wholly indexed; codequay gc deletes what it left")


def removed(out: Output, answer: RemoveAnswer) -> None:
    """What was taken out."""
    if out.options.format != "text":
        out.json(to_json(answer))
        return
    what = "deleted" if answer.purged else "removed; codequay gc deletes its data"
    out.data(f"{out.style('bold', out.name(answer.repo))}  {what} ({', '.join(map(out.name, answer.snapshots))})")


def gc(out: Output, answer: GcAnswer) -> None:
    """What was deleted, or would be."""
    for note in answer.notes:
        out.note(note)
    if out.options.format == "json":
        out.json(to_json(answer))
        return
    if out.options.format == "jsonl":
        for one in answer.repos:
            out.json(to_json(one))
        out.json({key: value for key, value in to_json(answer).items() if key != "repos"})
        return
    for one in answer.repos:
        out.data(f"{out.style('bold', out.name(one.repo))}  {_garbage(out, one)}")
    for file in answer.files:
        out.data(f"{out.name(file)}  belongs to nothing")
    for store in answer.compacted:
        out.data(f"{store}  " + ("would be compacted" if answer.dry_run else "compacted"))
    found = answer.repos or answer.files or answer.compacted
    if answer.dry_run:
        out.data("this is what codequay gc would delete" if found else "there is nothing to delete")
    else:
        out.data(f"freed {size(answer.freed)} in {answer.seconds:.1f} s")


def _garbage(out: Output, one: RepoGarbage) -> str:
    if one.skipped:
        return f"left alone: {one.skipped}"
    told = []
    if one.purged:
        told.append("removed")
    if one.generations:
        told.append(f"generations {', '.join(map(str, one.generations))}")
    told += [f"{out.name(name)} is gone" for name in one.names]
    return "; ".join(told)


def doctor(out: Output, answer: DoctorAnswer) -> None:
    """A line per finding, and what to do about those that are not well."""
    if out.options.format == "json":
        out.json({"data": answer.data, "verdict": answer.verdict, "findings": [f._asdict() for f in answer.findings]})
        return
    for finding in answer.findings:
        if out.options.format == "jsonl":
            out.json(finding._asdict())
        elif finding.level != "ok" or not out.options.quiet:
            level = out.style(_LEVEL_STYLE[finding.level], f"{finding.level:<7}")
            out.data(f"{level}  {finding.component}: {out.name(finding.what)}")
            if finding.remedy:
                out.data(f"         fix: {out.name(finding.remedy)}")


def watched(out: Output, event: WatchEvent) -> None:
    """One run of the watch, told at once."""
    if event.error:
        out.err(f"error: {event.error}")
        if event.remedy:
            out.err(f"fix: {event.remedy}")
    if out.options.format != "text":
        out.json(to_json(event))
    elif not event.error:
        files = f"{_count(event.changed_files, 'file')} changed, {event.removed_files} removed"
        out.data(f"{out.name(event.repo)}  generation {event.generation}: {files} in {event.seconds:.2f} s")
    out.stdout.flush()


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
