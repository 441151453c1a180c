"""The network of each member of an ensemble: its weights, and every gradient and product that is taken of it.

`weight_files`, `weight_names`, `weights` and `adapters` read weights and put them into a model. `checkpoints` compares
them with digests. `network` makes a checked collector. `member` is one member (`passes`, `item_passes` and
`label_gradients` are its parts), `ensemble` has all members, and `masked_passes` serves queries under all masks.
`training_points` reads a Task's data and names the row of an error.
"""
