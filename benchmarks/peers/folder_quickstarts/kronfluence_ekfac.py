"""kronfluence: EK-FAC scores of all rows, after its language model example."""

from pathlib import Path

import torch
from datasets import load_dataset
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.task import Task
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer


class LanguageModeling(Task):
    def compute_train_loss(self, batch, model, sample=False):  # noqa: FBT002 - its signature
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        logits = logits[:, :-1].reshape(-1, logits.size(-1))
        labels = batch["labels"][:, 1:].reshape(-1)
        if sample:
            with torch.no_grad():
                drawn = torch.multinomial(logits.softmax(-1), 1).flatten()
            labels = torch.where(labels == -100, labels, drawn)
        return F.cross_entropy(logits, labels, ignore_index=-100, reduction="sum")

    def compute_measurement(self, batch, model):
        return self.compute_train_loss(batch, model)

    def get_attention_mask(self, batch):
        return batch["attention_mask"]


tokenizer = AutoTokenizer.from_pretrained("model")


def encode(rows):
    encoded = tokenizer(rows["text"], padding="max_length", truncation=True, max_length=256)
    pairs = zip(encoded["input_ids"], encoded["attention_mask"], strict=True)
    encoded["labels"] = [[i if m else -100 for i, m in zip(*pair, strict=True)] for pair in pairs]
    return encoded


data = load_dataset("json", data_files="train.jsonl", split="train")
train = data.map(encode, batched=True, remove_columns=data.column_names).with_format("torch")
asked = [{"text": Path("query.txt").read_text()}]
query = data.from_list(asked).map(encode, batched=True, remove_columns=["text"]).with_format("torch")
task = LanguageModeling()
model = prepare_model(AutoModelForCausalLM.from_pretrained("model"), task)
analyzer = Analyzer("quickstart", model, task, cpu=True, disable_tqdm=True)
analyzer.fit_all_factors("factors", train, per_device_batch_size=8)
analyzer.compute_pairwise_scores(
    "scores",
    "factors",
    query_dataset=query,
    train_dataset=train,
    per_device_query_batch_size=1,
    per_device_train_batch_size=8,
)
scores = analyzer.load_pairwise_scores("scores")["all_modules"][0]
for score, row in zip(*scores.topk(5), strict=True):
    print(int(row), float(score))
