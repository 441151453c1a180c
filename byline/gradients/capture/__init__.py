"""Record one forward pass: the operations that read parameters, the calls of modules, and autograd's own graph.

`operations` is the table of operations that are captured, `trace` records them, `graph` reads autograd's graph to find
parameters that were read in any other way, `hooks` is the one module that registers hooks, and `faults` names the module
of an error.
"""
