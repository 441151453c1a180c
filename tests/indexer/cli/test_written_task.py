"""`byline build --hf`: an index without a Task file, which every later command opens."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from byline.__main__ import compose
from byline.errors import InvalidInput
from byline.loading.task_file import load_task
from byline_indexer.cli.written_task import HuggingFaceBuild, named_columns, task_text, write_task
from tests.byline.tasks.adapters import save_adapter
from tests.byline.tasks.chat_templates import SHORT, chat_tokenizer
from tests.byline.tasks.conftest import TEXTS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"body": t, "author": f"a{n}"}) + "\n" for n, t in enumerate(TEXTS)))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(compose(), [str(each) for each in arguments], env={"COLUMNS": "200"})


def test_a_folder_and_a_file_make_an_index_that_is_asked(lm_folder: Path, data: Path, tmp_path: Path) -> None:
    save_adapter(lm_folder, tmp_path / "lora")
    options = [
        "--data",
        data,
        "--adapter",
        tmp_path / "lora",
        "--columns",
        "text=body,owner=author",
        "--context",
        8,
    ]
    index = tmp_path / "index"
    command = ["build", "--hf", lm_folder, *options, "--recipe", "grad_dot", "--index", index]
    result = run(*command)
    assert result.exit_code == 0, result.output
    version = Path(result.stdout.strip().splitlines()[-1])
    assert version.parent == index
    assert f"The Task is declared in {index / 'task.py'}" in result.stderr
    task = load_task(f"{index / 'task.py'}:task").task
    assert (task.name, len(task.train_set[0]["input_ids"])) == ("lora", 8)
    again = run(*command)
    assert again.stdout.strip().splitlines()[-1] == str(version), "found again"
    asked = run(
        "query", index, "--query", json.dumps({"text": TEXTS[1][:6], "completion": TEXTS[1][6:9]}), "--json"
    )
    assert asked.exit_code == 0, asked.output
    assert {each["example"]["owner"] for each in json.loads(asked.stdout)["proponents"]} <= {
        f"a{n}" for n in range(len(TEXTS))
    }
    moved = index.rename(tmp_path / "moved")
    assert run("query", moved, "--query", '{"text": "a", "completion": "b"}', "--json").exit_code == 0


def test_a_dry_run_leaves_nothing(lm_folder: Path, data: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    columns = ["--columns", "text=body,owner=author", "--recipe", "grad_dot", "--index", index]
    result = run("build", "--hf", lm_folder, "--data", data, *columns, "--dry-run")
    assert result.exit_code == 0, result.output
    assert not index.exists()


def test_the_home_folder_is_found(
    lm_folder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").symlink_to(lm_folder)
    options = ["--columns", "text=body", "--recipe", "grad_dot", "--index", tmp_path / "index", "--dry-run"]
    result = run("build", "--hf=~/model", f"--data=~/{data.name}", *options)
    assert result.exit_code == 0, result.output


def test_an_index_that_is_a_file_is_refused(lm_folder: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="expected --index to be a folder, found a file"):
        write_task(HuggingFaceBuild(folder=lm_folder, data=data), data)


def test_the_help_teaches_it() -> None:
    text = run("build", "--help").output
    for words in (
        "--hf",
        "--data",
        "--adapter",
        "--columns",
        "--context",
        "byline build --hf runs/chat --data chats",
    ):
        assert words in text


def test_a_task_file_of_another_command_stays(lm_folder: Path, data: Path, tmp_path: Path) -> None:
    build = HuggingFaceBuild(folder=lm_folder, data=data, columns="text=body")
    assert write_task(build, tmp_path / "index") == f"{tmp_path / 'index' / 'task.py'}:task"
    other = HuggingFaceBuild(folder=lm_folder, data=data, columns="text=body", context=9)
    write_task(other, tmp_path / "index")  # nothing was built from the first
    (tmp_path / "index" / "0123").mkdir()
    (tmp_path / "index" / "0123" / "manifest.json").write_text("{}")
    write_task(other, tmp_path / "index")
    with pytest.raises(InvalidInput, match="choose another --index"):
        write_task(build, tmp_path / "index")


def test_a_task_file_of_the_user_stays(lm_folder: Path, data: Path, tmp_path: Path) -> None:
    mine = tmp_path / "task.py"
    mine.write_text("TASK = 1\n")
    with pytest.raises(InvalidInput, match="choose another --index"):
        write_task(HuggingFaceBuild(folder=lm_folder, data=data, columns="text=body"), tmp_path)
    assert mine.read_text() == "TASK = 1\n"


def test_names_and_places(tmp_path: Path) -> None:
    folder = tmp_path / "My Model_2!"
    folder.mkdir()
    build = HuggingFaceBuild(folder=folder, data=tmp_path)
    assert build.name == "my-model_2"
    assert build.index_path == Path("indexes/my-model_2")
    assert "COLUMNS = None" in task_text(build)
    compile(task_text(build), "task.py", "exec")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected a build file, or --hf FOLDER with --data FILE, got neither"),
        (["--hf", "x"], "got one of the two"),
        (["a.toml", "--hf", "x"], "got both"),
        (["--hf", "nowhere", "--data", "nowhere"], "found nothing at nowhere: Byline downloads nothing"),
        (["a.toml", "--recipe", "logra"], "got both"),
    ],
)
def test_arguments_that_do_not_fit(arguments: list[str], message: str) -> None:
    result = run("build", *arguments)
    assert result.exit_code != 0
    assert message in f"{result.output}{result.exception}"


def test_columns() -> None:
    columns = named_columns("text=body, owner=author,attributes=stars,attributes=lang")
    assert (columns.text, columns.owner, columns.attributes) == ("body", "author", ("stars", "lang"))
    assert named_columns("id=").id == ""
    for wrong in ("text", "=a", "text=a,text=b", "nobody=a"):
        with pytest.raises(InvalidInput, match="--columns"):
            named_columns(wrong)


def test_a_chat_finds_itself_first(lm_folder: Path, tmp_path: Path) -> None:
    """Chats in a file, a folder with a chat template, and a query that is a chat: no Python."""
    folder = Path(shutil.copytree(lm_folder, tmp_path / "chat"))
    chat_tokenizer(lm_folder, SHORT).save_pretrained(folder)
    chats = [
        [{"role": "user", "content": q}, {"role": "assistant", "content": a}]
        for q, a in (("a", "import"), ("b", "return"), ("c", "print"), ("d", "é"))
    ]
    data = tmp_path / "chats.jsonl"
    data.write_text(
        "".join(json.dumps({"messages": chat, "owner": f"o{n}"}) + "\n" for n, chat in enumerate(chats))
    )
    index = tmp_path / "index"
    built = run("build", "--hf", folder, "--data", data, "--recipe", "grad_cos", "--index", index)
    assert built.exit_code == 0, built.output
    for number, chat in enumerate(chats):
        asked = run("query", index, "--query", json.dumps({"messages": chat}), "--json", "--target", "loss")
        assert asked.exit_code == 0, asked.output
        first = json.loads(asked.stdout)["proponents"][0]["example"]
        assert first["owner"] == f"o{number}"
        assert first["preview"] == f"{chat[0]['content']}\n{chat[1]['content']}"
