"""A small GPT on the State of the Union speeches, with the truth of real retraining."""
