"""Quick starts on a language model's folder and a JSONL file, as a newcomer writes them with each library."""
