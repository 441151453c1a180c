"""A pretrained language model fine-tuned on real documents, indexed and asked: `make demo-llm`."""
