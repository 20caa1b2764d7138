"""Where settings come from, what wins, and what is said of a wrong one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from codequay.kernel.settings import Settings, load_settings
from codequay.kernel.trust import Trust


def load(tmp_path: Path, *, env: dict[str, str] | None = None, **more: object) -> Settings:
    (tmp_path / "repo" / ".git").mkdir(parents=True, exist_ok=True)
    return load_settings(env=env or {}, project=tmp_path / "repo", user=tmp_path / "user", **more)  # type: ignore[arg-type]


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_without_anything_configured_the_embedded_profile_holds(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert {port: binding.adapter for port, binding in settings.ports.items()} == {
        "chunks": "sqlite",
        "lexical": "tantivy",
        "metadata": "sqlite",
        "source": "git",
        "lock": "sqlite",
        "cache": "memory",
    }
    assert settings.origin("ports.chunks") == "profile embedded"


def test_a_default_run_imports_no_validator_and_no_client(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from codequay.kernel import default_registry, load_settings, make_plan\n"
        f"from pathlib import Path; here = Path({str(tmp_path)!r})\n"
        "settings = load_settings(env={}, project=here, user=here)\n"
        "make_plan(settings, default_registry(), ports=settings.ports)\n"
        "heavy = 'pydantic pluggy opentelemetry tantivy aiosqlite importlib.metadata asyncio'.split()\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_one_variable_swaps_a_back_end_and_keeps_the_rest_of_its_binding(tmp_path: Path) -> None:
    write(
        tmp_path / "user" / "codequay.toml",
        '[ports.chunks]\nadapter = "sqlite"\nrequire = ["durable"]\ncertificate = "warn"\n'
        'layers = { deadline = "2s" }\n',
    )
    settings = load(tmp_path, env={"CODEQUAY_PORTS__CHUNKS": "memory"})
    binding = settings.ports["chunks"]
    assert (binding.adapter, binding.require, binding.certificate) == ("memory", ("durable",), "warn")
    assert binding.layers["deadline"].seconds == 2
    assert settings.origin("ports.chunks.adapter") == "environment CODEQUAY_PORTS__CHUNKS"


def test_precedence_is_flag_then_environment_then_project_then_user(tmp_path: Path) -> None:
    write(tmp_path / "user" / "codequay.toml", "[retrieval]\nlimit = 2\n")
    assert load(tmp_path).retrieval.limit == 2
    write(tmp_path / "repo" / "codequay.toml", "[retrieval]\nlimit = 3\n")
    assert load(tmp_path).retrieval.limit == 3
    env = {"CODEQUAY_RETRIEVAL__LIMIT": "4"}
    assert load(tmp_path, env=env).retrieval.limit == 4
    named = write(tmp_path / "named.toml", "[retrieval]\nlimit = 5\n")
    assert load(tmp_path, env=env, config=named).retrieval.limit == 5
    assert load(tmp_path, env=env, config=named, sets=["retrieval.limit=6"]).retrieval.limit == 6


def test_freshness_is_configured(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.index.refresh_files, settings.index.keep_generations, settings.retrieval.refresh) == (
        200,
        2,
        "auto",
    )
    settings = load(tmp_path, sets=["index.refresh_files=0", "index.keep_generations=1", "retrieval.refresh=never"])
    assert (settings.index.refresh_files, settings.index.keep_generations, settings.retrieval.refresh) == (
        0,
        1,
        "never",
    )
    wrong = load(tmp_path, sets=["index.refresh_files=-1", "index.keep_generations=0", "retrieval.refresh=often"])
    assert len(wrong.problems) == 3


def test_a_profile_from_a_flag_changes_the_defaults_and_not_what_was_chosen(tmp_path: Path) -> None:
    settings = load(tmp_path, env={"CODEQUAY_PORTS__LOCK": "noop"}, profile="test")
    assert settings.ports["lexical"].adapter == "memory"
    assert settings.ports["lock"].adapter == "noop"


def test_a_misspelt_variable_is_an_error_with_what_was_meant(tmp_path: Path) -> None:
    settings = load(tmp_path, env={"CODEQUAY_INDX__WORKERS": "2", "CODEQUAY_TEST_POSTGRES_URL": "x"})
    (problem,) = settings.problems
    assert problem.message == 'CODEQUAY_INDX__WORKERS names no setting; did you mean "index"?'
    assert problem.at == "indx (environment CODEQUAY_INDX__WORKERS)"


def test_a_misspelt_key_names_its_file_and_line(tmp_path: Path) -> None:
    write(tmp_path / "repo" / "codequay.toml", "# mine\n[index]\nworkrs = 2\n")
    (problem,) = load(tmp_path).problems
    assert problem.message == 'index.workrs is no setting; did you mean "workers"?'
    assert problem.at.endswith("codequay.toml:3)")


def test_wrong_values_are_all_reported(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        sets=["index.workers=-1", 'retrieval.weights={"bm25": "much"}', "logging.level=loud", "nonsense"],
        env={"CODEQUAY_STRICT_PLUGINS": "perhaps"},
    )
    assert len(settings.problems) == 5


def test_values_from_text_get_their_types(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        env={"CODEQUAY_RETRIEVAL__WEIGHTS__BM25": "0.5", "CODEQUAY_PLUGINS": "a,b", "CODEQUAY_INDEX__WORKERS": "auto"},
        sets=["layers.retry.attempts=5", 'index.enable=["lexical"]', "strict_plugins=on"],
    )
    assert settings.problems == ()
    assert settings.retrieval.weights == {"bm25": 0.5}
    assert settings.plugins == ("a", "b")
    assert settings.strict_plugins
    assert settings.index.enable == ("lexical",)
    assert settings.layers["retry"].attempts == 5


def test_options_of_adapters_stay_text(tmp_path: Path) -> None:
    settings = load(tmp_path, env={"CODEQUAY_ADAPTERS__POSTGRES__PASSWORD": "12345"})
    assert settings.adapters == {"postgres": {"password": "12345"}}


def test_a_table_was_said_where_one_of_its_values_was(tmp_path: Path) -> None:
    settings = load(tmp_path, env={"CODEQUAY_ADAPTERS__REDS__URL": "x"})
    assert settings.origin("adapters.reds") == "environment CODEQUAY_ADAPTERS__REDS__URL"


def test_a_text_where_a_table_belongs_is_refused_also_beside_values_of_the_table(tmp_path: Path) -> None:
    settings = load(tmp_path, env={"CODEQUAY_ADAPTERS__POSTGRES": "{", "CODEQUAY_ADAPTERS__POSTGRES__DSN": "x"})
    (problem,) = settings.problems
    assert problem.at == "adapters.postgres (environment CODEQUAY_ADAPTERS__POSTGRES)"


HOSTILE = """
plugins = ["evil"]
[ports]
chunks = "evil"
[adapters.sqlite]
path = "env:AWS_SECRET"
[layers.retry]
attempts = 99
[index]
workers = 1
name = "somebody/else"
"""


def test_a_file_in_the_repository_sets_only_index_and_retrieval_until_it_is_trusted(tmp_path: Path) -> None:
    file = write(tmp_path / "repo" / "codequay.toml", HOSTILE)
    settings = load(tmp_path)
    assert settings.problems == ()
    assert settings.index.workers == 1
    assert settings.index.name == ""
    assert settings.ports["chunks"].adapter == "sqlite"
    assert (settings.adapters, settings.layers, settings.plugins) == ({}, {}, ())
    (note,) = settings.notes
    assert "not trusted, ignored in it: adapters, layers, plugins, ports, index.name" in note
    assert "codequay trust" in note

    Trust(tmp_path / "user").accept(file)
    assert load(tmp_path).ports["chunks"].adapter == "evil"
    file.write_text(HOSTILE + "\n# changed\n")
    assert load(tmp_path).ports["chunks"].adapter == "sqlite"


def test_the_same_file_named_by_a_flag_counts_in_full(tmp_path: Path) -> None:
    file = write(tmp_path / "repo" / "codequay.toml", '[ports]\nchunks = "memory"\n')
    settings = load(tmp_path, config=file)
    assert settings.ports["chunks"].adapter == "memory"
    assert settings.notes == ()


def test_a_project_file_above_the_repository_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "codequay.toml", "[retrieval]\nlimit = 3\n")
    assert load(tmp_path).retrieval.limit == 10


@pytest.mark.parametrize("content", [b"[index\n", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_file_that_is_not_toml_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    file = write(tmp_path / "named.toml", "")
    file.write_bytes(content)
    (problem,) = load(tmp_path, config=file).problems
    assert "named.toml" in problem.at


def test_a_missing_file_of_config_is_an_error(tmp_path: Path) -> None:
    (problem,) = load(tmp_path, config=tmp_path / "absent.toml").problems
    assert "absent.toml cannot be read: No such file" in problem.message


def test_an_unknown_layer_or_option_of_one_is_an_error(tmp_path: Path) -> None:
    settings = load(tmp_path, sets=["layers.retri=3", "ports.cache.layers.retry.attemps=3", "layers.deadline=soon"])
    messages = [problem.message for problem in settings.problems]
    assert any('layers.retri is no setting; did you mean "retry"?' in message for message in messages)
    assert any('has no option "attemps"' in message for message in messages)
    assert any("must be a duration" in message for message in messages)
