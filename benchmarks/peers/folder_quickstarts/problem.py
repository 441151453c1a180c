"""A small Llama, trained for a minute on the descriptions of installed packages: a folder, a file, a question."""

import json
from pathlib import Path
from typing import Any

import torch

from examples.smollm2.documents import Sizes, answers
from examples.smollm2.drawn import llama
from examples.tokenizer import END, train_tokenizer

STEPS = 60


def write_problem(folder: Path, sizes: Sizes, steps: int = STEPS) -> None:
    """Write `model/` as `save_pretrained` does, `train.jsonl` and `query.txt`.

    Args:
        folder: Empty.
        sizes: How much text is taken.
        steps: Steps of training, of eight texts each.
    """
    lines = [{"text": answer, "owner": owner} for _, owner, answer in answers(sizes)]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (folder / "query.txt").write_text(lines[0]["text"][:80], encoding="utf-8")
    texts = [line["text"] for line in lines]
    tokenizer = train_tokenizer(texts, 2_048, bos_token=END, pad_token=END)
    model = _trained(tokenizer, texts, steps)
    for part in (tokenizer, model):
        part.save_pretrained(folder / "model")


def _trained(tokenizer: Any, texts: list[str], steps: int) -> Any:
    model = llama(len(tokenizer), width=128, layers=4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps):
        chosen = [texts[(8 * step + place) % len(texts)] for place in range(8)]
        batch = tokenizer(chosen, padding=True, truncation=True, max_length=256, return_tensors="pt")
        labels = batch["input_ids"].where(batch["attention_mask"].bool(), -100)
        optimizer.zero_grad()
        model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels
        ).loss.backward()
        optimizer.step()
    return model.eval()
