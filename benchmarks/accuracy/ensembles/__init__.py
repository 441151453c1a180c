"""Costs and accuracy of ensembles."""
