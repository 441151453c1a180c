"""A small GPT pretrained on one kind of text and fine-tuned on owners' documents, with the truth of real retraining."""
