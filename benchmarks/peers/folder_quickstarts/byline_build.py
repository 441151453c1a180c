"""Byline: its two commands."""

import json
import subprocess
import sys
from pathlib import Path

byline = [sys.executable, "-m", "byline"]
query = json.dumps({"text": Path("query.txt").read_text(), "attribute": "text"})
build = [*byline, "build", "--hf", "model", "--data", "train.jsonl", "--index", "index"]
subprocess.run(build, check=True)
subprocess.run([*byline, "query", "index", "--query", query, "-k", "5"], check=True)
