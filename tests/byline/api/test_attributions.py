"""Documents can be read without what computes them."""

import subprocess
import sys


def test_documents_need_neither_torch_nor_faiss():
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, byline.api.attributions; print({'torch', 'faiss'} & set(sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "set()"
