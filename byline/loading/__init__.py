"""Load Task files and the modules beside them, and name failures of their code.

`task_file` imports a Task and digests its source, `sibling_modules` keeps the modules of two Tasks apart, `memory`
identifies a Task that no file declares, and `failures` describes errors of a Task's code.
"""
