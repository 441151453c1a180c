"""Gradients of parameter blocks as sums of outer products, and what is done with them.

`blocks` cuts parameters into matrices, `factors` are the outer products, `concatenation` joins batches, `grouping` sums
over groups of examples, and `tensors` converts from and to tensors shaped like the parameters.
"""
