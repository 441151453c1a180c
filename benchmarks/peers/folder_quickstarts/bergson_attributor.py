"""bergson: an index by its command, asked by its Attributor, after its README."""

import subprocess
import sys
from pathlib import Path

from bergson import Attributor
from transformers import AutoModelForCausalLM, AutoTokenizer

bergson = str(Path(sys.executable).with_name("bergson"))
options = ["--model", "model", "--dataset", "train.jsonl", "--prompt_column", "text", "--truncation"]
options += ["--token_batch_size", "256", "--projection_dim", "16", "--precision", "fp32", "--overwrite"]
subprocess.run([bergson, "build", "index", *options], check=True)
model = AutoModelForCausalLM.from_pretrained("model")
tokens = AutoTokenizer.from_pretrained("model")(Path("query.txt").read_text(), return_tensors="pt")
with Attributor("index").trace(model.base_model, 5) as found:
    model(**tokens, labels=tokens["input_ids"]).loss.backward()
for row, score in zip(found.indices.flatten(), found.scores.flatten(), strict=True):
    print(int(row), float(score))
