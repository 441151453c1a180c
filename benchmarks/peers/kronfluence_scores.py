"""kronfluence 1.0.1 on the digits network: `python kronfluence_scores.py FOLDER`; see network.py.

Options: `given` takes the training labels in place of samples; `damping`, None for a tenth of each layer's mean
eigenvalue.
"""

import tempfile

from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from network import clock, given
from torch.nn import functional as F


class Digits(Task):
    def compute_train_loss(self, batch, model, sample=False):  # noqa: FBT002 - its signature
        inputs, labels = batch
        logits = model(inputs)
        if sample:
            labels = logits.detach().softmax(dim=-1).multinomial(num_samples=1).flatten()
        return F.cross_entropy(logits, labels, reduction="sum")

    def compute_measurement(self, batch, model):
        return self.compute_train_loss(batch, model)


job = given()
with tempfile.TemporaryDirectory() as kept:
    task = Digits()
    analyzer = Analyzer(
        "digits", prepare_model(job.model, task), task, cpu=True, output_dir=kept, disable_tqdm=True
    )
    factors = FactorArguments(strategy="ekfac", use_empirical_fisher=job.options["given"])
    analyzer.fit_all_factors("factors", job.train, per_device_batch_size=250, factor_args=factors)
    prepared = clock()
    analyzer.compute_pairwise_scores(
        "scores",
        "factors",
        query_dataset=job.asked,
        train_dataset=job.train,
        per_device_query_batch_size=len(job.asked),
        per_device_train_batch_size=250,
        score_args=ScoreArguments(damping_factor=job.options["damping"]),
    )
    scores = analyzer.load_pairwise_scores("scores")["all_modules"]
job.write(scores, prepared)
