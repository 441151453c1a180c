"""Image classification from arrays or a data set of (image, label) pairs."""

from collections.abc import Sequence

from byline.errors import InvalidTask
from byline.task import Task
from byline.tasks.labelled_inputs import Trained, classifier_task
from byline.tasks.payloads import image_payload


def image_classification(trained: Trained, *, classes: Sequence[str]) -> Task:
    """Declare an image classifier.

    Queries are `{"image": pixels, "label": optional}`, the pixels in the units of the training data
    (that is: after its own scaling), as nested lists or one flat list.

    Args:
        trained: The model and its training data: images [C, H, W] or [H, W].
        classes: Names in the order of the logits.

    Returns:
        The task, with the targets `margin` (log p/(1-p) of the label) and `logit` (the label's).

    Raises:
        InvalidTask: The data or the class names do not fit.
    """
    first = trained.data.input
    if first.ndim not in {2, 3}:
        raise InvalidTask(f"expected images of shape [C, H, W] or [H, W], got {list(first.shape)}")
    return classifier_task(trained, classes, "image", image_payload(first))
