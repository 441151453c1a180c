"""Models drawn from those of the installed transformers: each a configuration of its class, made small.

`shrinking` makes a configuration small, `asking` gives a class its data and its loss, `drawing` draws and examines.
"""
