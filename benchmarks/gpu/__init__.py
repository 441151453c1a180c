"""The GPU's part of the product on one machine: correctness, a language model's build, the query, the search."""
