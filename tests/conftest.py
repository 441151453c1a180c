"""Shapes in signatures are checked while tests run, and only then. The service's data goes to a folder of the run."""

import os
import tempfile

from jaxtyping import install_import_hook

install_import_hook("byline.gradients.outer_products.factors", "beartype.beartype")
os.environ["BYLINE_DATA_DIR"] = tempfile.mkdtemp(prefix="byline-tests-")  # never the user's own
