"""dattri: gradient products of all rows, after its language model examples."""

from pathlib import Path

import torch
from datasets import load_dataset
from dattri.algorithm.tracin import TracInAttributor
from dattri.task import AttributionTask
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("model")
model = AutoModelForCausalLM.from_pretrained("model", attn_implementation="eager").eval()


def encode(texts):
    encoded = tokenizer(texts, padding="max_length", truncation=True, max_length=256, return_tensors="pt")
    labels = encoded["input_ids"].where(encoded["attention_mask"].bool(), -100)
    return TensorDataset(encoded["input_ids"], encoded["attention_mask"], labels)


def loss(params, row):
    ids, mask, labels = (part.unsqueeze(0) for part in row)
    out = torch.func.functional_call(model, params, ids, {"attention_mask": mask, "use_cache": False})
    return F.cross_entropy(out.logits[0, :-1], labels[0, 1:], ignore_index=-100)


texts = load_dataset("json", data_files="train.jsonl", split="train")["text"]
train = DataLoader(encode(list(texts)), batch_size=4)
query = DataLoader(encode([Path("query.txt").read_text()]), batch_size=1)
task = AttributionTask(loss_func=loss, model=model, checkpoints=[model.state_dict()])
attributor = TracInAttributor(task=task, weight_list=torch.ones(1), normalized_grad=False)
scores = attributor.attribute(train, query)[:, 0]
for score, row in zip(*scores.topk(5), strict=True):
    print(int(row), float(score))
