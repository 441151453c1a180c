"""The same model, data and truth given to other attribution libraries."""
