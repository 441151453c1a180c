"""A network pretrained on some kinds of clothes, fine-tuned on owners' images of others, with the truth of retraining."""
