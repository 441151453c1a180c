"""traker 0.3.2 on the digits network: `python trak_scores.py FOLDER`; see network.py. Options: `size`, `ridge`."""

import tempfile

import numpy as np
from network import clock, given
from trak import TRAKer

job = given()
with tempfile.TemporaryDirectory() as kept:
    traker = TRAKer(
        model=job.model,
        task="image_classification",
        train_set_size=len(job.train),
        save_dir=kept,
        device="cpu",
        proj_dim=job.options["size"],
        use_half_precision=False,
        lambda_reg=job.options["ridge"],
    )
    traker.load_checkpoint(job.model.state_dict(), model_id=0)
    for first in range(0, len(job.train), 250):
        part = job.train[first : first + 250]
        traker.featurize(batch=part, num_samples=len(part[0]))
    traker.finalize_features()
    prepared = clock()
    traker.start_scoring_checkpoint(
        exp_name="digits", checkpoint=job.model.state_dict(), model_id=0, num_targets=len(job.asked)
    )
    traker.score(batch=job.asked[:], num_samples=len(job.asked))
    scores = np.array(traker.finalize_scores(exp_name="digits"))
job.write(scores.T, prepared)
