"""A real server over a Task with mistakes: the log says where they are, and holds nothing of what came."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from byline_indexer.build.build import build
from byline_indexer.config import load_config
from tests.service.keys import bearer, printed_key

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "indexer" / "tiny_task.py"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "BYLINE_DRAIN_SECONDS": "0", "OMP_NUM_THREADS": "1"}
MARK = "s3cr3t-content"
MISTAKEN = """

import dataclasses
import numpy


class Noted(Payload):
    note: str


def mistaken_parse(query):
    if query.x[0] == 1:
        raise ValueError(f"cannot parse {query.note}")
    return ParsedQuery(item=(torch.tensor(query.x), 0, query.note), complete=False)


def mistaken_predict(model, item):
    x, _, note = item
    if x[0] == 2:
        raise KeyError(note)
    if x[0] == 3:
        return Prediction(item=(x, 0), output={"label": numpy.array(note)})
    if x[0] == 4:
        raise UnsupportedModel("an answer of this model is not supported")
    return Prediction(item=(x, note), output={"label": "0"})


def mistaken():
    interface = QueryInterface(payload=Noted, parse=mistaken_parse, predict=mistaken_predict)
    return dataclasses.replace(task(), query=interface)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("mistaken")
    source = TINY.read_text().replace(
        "from byline.api.example", "from byline.errors import UnsupportedModel\nfrom byline.api.example"
    )
    (made / "mistaken.py").write_text(source + MISTAKEN)
    (made / "build.toml").write_text(
        'task = "mistaken.py:mistaken"\n[recipe]\nname = "grad_dot"\n[recipe.projection]\nsize = 16\n'
        '[index]\npath = "index"\n'
    )
    build(load_config(made / "build.toml"))
    return made


@pytest.fixture(scope="module")
def answered(folder):
    """Everything that goes wrong, asked once: answers by what was asked, and the log."""
    log = folder / "log"
    command = [sys.executable, "-m", "byline", "serve", "index", "--port", "0", "--threads", "1"]
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=ENVIRONMENT | {"BYLINE_DATA_DIR": str(folder / "data")},
            cwd=folder,
        ) as process,
    ):
        address = process.stdout.readline().split(" at ")[1].split()[0]
        key = printed_key(process.stdout)
        ask = f"{address}v1/indexes/tiny/attributions"
        bodies = {
            "parse": query(1),
            "predict": query(2),
            "output": query(3),
            "unsupported": query(4),
            "gradient": query(5),
            "unknown": {"note": MARK},
            "payload": {"query": {"x": [MARK], "note": MARK}},
            "target": query(5) | {"target": MARK},
        }
        with httpx.Client(timeout=20, headers=bearer(key)) as client:
            answers = {name: client.post(ask, json=body) for name, body in bodies.items()}
            answers["parameter"] = client.post(f"{ask}?{MARK}={MARK}", json=query(1))
            answers["address"] = client.get(f"{address}v1/indexes/tiny/examples/{MARK}")
            answers["index"] = client.get(f"{address}v1/indexes/{MARK}")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    return answers, log.read_text()


def query(kind):
    return {"query": {"x": [float(kind), 0, 0, 0, 0, 0], "note": MARK}}


def test_neither_answers_nor_the_log_repeat_content(answered):
    answers, log = answered
    assert "byl_" not in log
    assert MARK not in log
    for answer in answers.values():
        assert MARK not in answer.text


def test_the_client_hears_whose_fault_it_is(answered):
    answers, _ = answered
    statuses = {name: answer.status_code for name, answer in answers.items()}
    wrong = {name for name, status in statuses.items() if status == 500}
    assert wrong == {"output", "unsupported"}
    assert statuses["parse"] == statuses["predict"] == statuses["gradient"] == 422
    problem = answers["output"].json()
    assert problem["type"] == "urn:byline:problem:wrong-task"
    assert "'label'" in problem["detail"]
    assert "numpy.ndarray" in problem["detail"]


def test_the_log_says_where_the_tasks_code_raised(answered):
    lines = [json.loads(line) for line in answered[1].splitlines() if line.startswith("{")]
    warned = [line for line in lines if line["event"] == "request refused"]
    assert {line["level"] for line in warned} == {"warning"}
    innermost = [line["exception"][0]["frames"][-1] for line in warned]
    for function in ("mistaken_parse", "mistaken_predict"):
        assert any("mistaken.py:" in frame and f" in {function}" in frame for frame in innermost)
    assert [line["exception"][0]["type"] for line in warned][:2] == ["ValueError", "KeyError"]
    wrong = [line for line in lines if line["event"] == "task failed"]
    assert [line["exception"][0]["type"] for line in wrong] == ["InvalidTask", "UnsupportedModel"]


def test_the_command_line_says_where_as_well(folder):
    command = [sys.executable, "-m", "byline", "query", "index", "-q", json.dumps(query(1)["query"])]
    ended = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    line = next(
        i
        for i, text in enumerate((folder / "mistaken.py").read_text().splitlines(), 1)
        if "cannot parse" in text
    )
    assert f"raised at {folder / 'mistaken.py'}:{line}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_libraries_log_of_exceptions_is_left_out(capfd):
    program = (
        "import logging\nfrom byline_service.observability import logs\nlogs.configure('info')\n"
        "try:\n    raise ValueError('s3cr3t')\n"
        "except ValueError as error:\n    logging.getLogger('asyncio').error('future: %r', error, exc_info=error)\n"
        "import structlog\n"
        "try:\n    {}['s3cr3t']\n"
        "except KeyError as error:\n    structlog.get_logger('service').error('unexpected error', exc_info=error)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=ENVIRONMENT)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["exception"][0]["type"] for line in lines] == ["ValueError", "KeyError"]
    assert "s3cr3t" not in json.dumps(lines)
