"""Types that the parts of a recipe and a build hand to each other."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

State = dict[str, Tensor]
"""Fitted tensors by name, saved as safetensors."""
Rows = NDArray[np.int64]
"""Row numbers of the training set, ascending."""
