"""The code of docs/client.md runs, in one namespace, against a real service."""

import asyncio
import re
from pathlib import Path

import torch

from tests.indexer import tiny_task
from tests.service.keys import admin_key

PAGE = Path(__file__).resolve().parents[3] / "docs" / "client.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_every_block_runs(service_url, capsys):
    model = tiny_task.network()
    model.load_state_dict(tiny_task.weights(1))
    names = {
        "__name__": "page",
        "url": service_url,
        "key": admin_key(),
        "model": model,
        "x": torch.tensor([[0.5, -1.0, 0.25, 2.0, 0.0, 1.0]]),
        "label": torch.tensor([2]),
    }
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"{PAGE.name}[{number}]", "exec"), names)  # noqa: S102
        if "answer" in names and "by_gradient" not in names and "attribute_gradient" in block:
            names["by_gradient"] = names["answer"]
    assert asyncio.run(names["licenses"]()) == {"MIT"}
    rows = [each.row for each in names["by_gradient"].proponents]
    assert [each.row for each in names["again"].proponents] == rows
    assert "not-found" not in capsys.readouterr().out
    names["client"].close()
    names["patient"].close()
