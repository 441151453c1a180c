"""Turn a recorded pass into gradients: of one example, or of all examples of a batch.

`single_example` is exact for every model. `batch` cuts one pass into its examples by `layouts`, the axes that run over
the examples. `module_gradients` differentiates modules that no captured operation explains. `assembly` makes outer
products of both.
"""
