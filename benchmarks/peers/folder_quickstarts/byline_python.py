"""Byline: an index of a model's folder, asked in Python."""

from pathlib import Path

import byline
from byline.tasks import causal_language_model

index = byline.build(causal_language_model("llama", "model", "train.jsonl"), "ekfac_pca", "index")
answer = index.attribute({"text": Path("query.txt").read_text(), "attribute": "text"})
for found in answer.proponents:
    print(found.example.id, found.score)
