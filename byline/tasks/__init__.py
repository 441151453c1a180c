"""Ready-made tasks for the common cases. See docs/tasks.md."""

from byline.tasks.causal_lm import Generation, causal_language_model
from byline.tasks.columns import Columns
from byline.tasks.denoiser import Denoising, denoiser
from byline.tasks.documents import Document
from byline.tasks.labeled_inputs import TrainedModel
from byline.tasks.loaded_models import LoadedModel
from byline.tasks.model_task import from_model
from byline.tasks.noise_schedule import NoiseSchedule
from byline.tasks.pretrained import LocalModel
from byline.tasks.sequence_classifier import sequence_classifier
from byline.tasks.training_data import TrainingData
from byline.tasks.vector import image_classification, vector_classification, vector_regression

__all__ = [
    "Columns",
    "Denoising",
    "Document",
    "Generation",
    "LoadedModel",
    "LocalModel",
    "NoiseSchedule",
    "TrainedModel",
    "TrainingData",
    "causal_language_model",
    "denoiser",
    "from_model",
    "image_classification",
    "sequence_classifier",
    "vector_classification",
    "vector_regression",
]
