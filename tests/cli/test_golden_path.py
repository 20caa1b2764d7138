"""What a person does in the first minutes."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import SAMPLE, Run, check, check_part, git, repository, still_answers


def test_two_commands_find_the_code(sample: Path, fresh: Run) -> None:
    done = fresh("index", cwd=sample)
    assert done.code == 0 and "4 files" in done.out, done
    found = fresh("search", "how long to wait between retries", cwd=sample)
    assert found.code == 0
    first = found.out.splitlines()[0]
    assert first.startswith("src/net/retry.py:"), found
    assert fresh("show", first.split(": ")[0], cwd=sample).out.strip()


def test_the_module_form_works_without_an_index_and_search_can_index_first(sample: Path, fresh: Run) -> None:
    fresh("search", "backoff_delay", sample).failed(4, what="", fix="codequay index", error="not_indexed")
    done = fresh("search", "--index", "backoff_delay", sample)
    assert (done.code, done.paths[0]) == (0, "src/net/retry.py"), done


def test_no_match_in_a_complete_index_is_1(indexed: Path, run: Run) -> None:
    done = run("search", "zyzzyvaquux", indexed)
    assert (done.code, done.out) == (1, ""), done


def test_path_is_a_filter_and_n_a_limit(indexed: Path, run: Run) -> None:
    assert run("search", "retries cache", indexed / "src" / "store").paths == ["src/store/cache.py"]
    assert len(run("search", "-n", "1", "retries cache", indexed).paths) == 1


def test_phrases_exclusions_and_fields(indexed: Path, run: Run) -> None:
    assert run("search", '"def backoff_delay"', indexed).paths == ["src/net/retry.py"]
    assert "README.md" not in run("search", "retries -project", indexed).paths
    assert run("search", "lang:javascript page", indexed).paths == ["web/app.js"]
    assert run("search", "sym:ExpiringCache", indexed).paths == ["src/store/cache.py"]


def test_literal_switches_the_syntax_off(indexed: Path, run: Run) -> None:
    assert run("search", "-F", "random.uniform(0, base * 2**attempt)", indexed).paths[:1] == ["src/net/retry.py"]
    assert run("search", "-F", "lang:javascript backoff_delay", indexed).paths[:1] == ["src/net/retry.py"]


def test_a_pasted_traceback_finds_the_code_and_says_how_it_was_read(indexed: Path, run: Run) -> None:
    pasted = """Traceback (most recent call last):
  File "/srv/app/src/net/retry.py", line 15, in call_with_retries
    return fn()
           ^^^^
ConnectionError: [Errno 111] ("refused"""
    done = run("search", pasted, indexed)
    assert (done.code, done.paths[0]) == (0, "src/net/retry.py"), done
    assert "note: " in done.err


def test_show_gives_the_file_or_the_function_around_a_line(indexed: Path, run: Run) -> None:
    assert run("show", "src/net/retry.py", cwd=indexed).out == SAMPLE["src/net/retry.py"]
    part = run("show", f"{indexed}/src/net/retry.py:8", "--format", "json").json
    assert part["symbol"] == "backoff_delay" and part["start_line"] <= 8 <= part["end_line"]
    run("show", "src/none.py", cwd=indexed).failed(3, what="none.py", fix="", error="not_found")


def test_json_of_every_command_fits_its_schema(sample: Path, fresh: Run) -> None:
    check("index", fresh("index", sample, "--format", "json").json)
    check("index", fresh("index", sample, "--format", "jsonl").json)
    check("search", fresh("search", "retries", sample, "--format", "json").json)
    check("search", fresh("search", "zyzzyvaquux", sample, "--format", "json").json)
    *hits, envelope = map(json.loads, fresh("search", "retries", sample, "--format", "jsonl").out.splitlines())
    assert hits and envelope["schema"] == "codequay.search/1" and "hits" not in envelope
    for hit in hits:
        check_part("search", "hit", hit)
    check("show", fresh("show", f"{sample}/web/app.js:2", "--format", "json").json)
    status = fresh("status", sample, "--format", "json")
    check("status", status.json)
    assert status.json["repos"][0]["files"] == 4
    check("plan", fresh("plan", sample, "--format", "json").json)
    check("adapters", fresh("adapters", "--format", "json").json)
    check("error", fresh("show", sample / "none.py", "--format", "json").json)


def test_status_plan_and_adapters_are_readable(indexed: Path, run: Run) -> None:
    status = run("status", indexed)
    assert status.code == 0 and "generation 1" in status.out and "4 files" in status.out, status
    plan = run("plan")
    assert plan.code == 0 and "sqlite" in plan.out and "tantivy" in plan.out and "profile embedded" in plan.out, plan
    adapters = run("adapters")
    assert adapters.code == 0 and "tantivy" in adapters.out, adapters


def test_one_variable_swaps_an_adapter(indexed: Path, run: Run) -> None:
    assert "memory" in run("plan", CODEQUAY_PORTS__LOCK="memory").out
    still_answers(run, indexed, CODEQUAY_PORTS__LOCK="memory")
    cold = run("search", "backoff_delay", indexed, CODEQUAY_PORTS__CHUNKS="memory")
    assert cold.code == 4 and cold.out == "" and "codequay index" in cold.err, cold
    assert run("status", indexed, CODEQUAY_PORTS__CHUNKS="memory").code == 4
    still_answers(run, indexed)


def test_several_places_are_indexed_though_one_fails(tmp_path: Path, sample: Path, run: Run) -> None:
    other = repository(tmp_path / "other", {"b.py": "def second_place():\n    return 2\n"})
    done = run("index", sample, tmp_path / "nowhere", other)
    assert done.code == 3, done
    assert len(done.out.splitlines()) == 2 and "nowhere" in done.err
    still_answers(run, sample)
    assert run("search", "second_place", other).code == 0


def test_indexing_again_shows_what_changed(indexed: Path, run: Run) -> None:
    (indexed / "src/net/new.py").write_text("def freshly_written():\n    return 1\n")
    (indexed / "web/app.js").unlink()
    again = run("index", indexed, "--format", "json").json
    assert (again["generation"], again["files"]) == (2, 4), again
    assert run("search", "freshly_written", indexed).paths == ["src/net/new.py"]
    assert run("search", "startPage", indexed).code == 1
    assert ".codequay" not in git(indexed, "status", "--porcelain"), "never to be committed by mistake"


def test_progress_and_notes_are_never_on_stdout(sample: Path, run: Run) -> None:
    done = run("index", sample, "--progress", "json", "--format", "json")
    assert done.json["files"] == 4
    events = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert all(event["event"] == "progress" for event in events)


def test_data_names_the_folder(sample: Path, tmp_path: Path, run: Run) -> None:
    assert run("index", sample, "--data", tmp_path / "elsewhere").code == 0
    assert not (sample / ".codequay").exists()
    assert run("search", "backoff_delay", sample, "--data", tmp_path / "elsewhere").paths[0] == "src/net/retry.py"
