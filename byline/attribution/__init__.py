"""Answer requests to an index, by one path for Python, the command line and the service.

`attributor` is the entry. A `request` is checked and becomes query features (`queries`, `task_code`). `retrieval` finds
rows, `drill_down` the points of groups, and `baseline_ranking` ranks by similarity. `answer_writer` adds metadata,
errors (`uncertainty`, `optimism`) and shares (`owner_shares`). `opening` loads the Task and the models of an index.
"""
