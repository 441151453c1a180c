"""Measure the index of a build file and write its quality card."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byline.api.quality_card import QualityCard
from byline.errors import InvalidInput
from byline.index.durable import replace_file
from byline.index.index import AttributionIndex
from byline.index.quality_card import add_measurement, card_path
from byline.loading.task_file import load_task
from byline_indexer.build.build import build
from byline_indexer.config import BuildConfig
from byline_indexer.evaluation.measurement import Measured
from byline_indexer.evaluation.metrics import METRICS
from byline_indexer.evaluation.options import EvaluationOptions
from byline_indexer.evaluation.subject import Subject
from byline_indexer.progress import Observer, Silent

REPORT = "report.json"


@dataclass(frozen=True)
class Evaluated:
    """Results of an evaluation."""

    measured: Measured
    card: QualityCard
    card_file: Path
    report_file: Path


def evaluate(config: BuildConfig, options: EvaluationOptions, observer: Observer | None = None) -> Evaluated:
    """Measure an index. It is built first if it is missing.

    Args:
        config: The build file.
        options: What is measured, and how.
        observer: Receives progress and messages.

    Returns:
        The measurement, on the quality card beside the index and in a report.

    Raises:
        InvalidInput: There is no such metric, or the options do not fit.
        InvalidTask: The Task lacks what the metric needs; raised before anything is built.
        BuildFailed: A process failed. What was finished is kept.
    """
    if options.metric not in METRICS:
        raise InvalidInput(f"expected one of the metrics {', '.join(METRICS)}, got another name")
    metric = METRICS[options.metric]
    subject = Subject(config, options, load_task(config.task), observer or Silent())
    metric.check(subject)
    with AttributionIndex.open(build(config, observer).path) as index:
        measured = metric.measure(subject, index)
        report = subject.folder() / REPORT
        _write_report(report, index, options, measured)  # first: the index's folder may be read-only
        card = add_measurement(index.path, index.manifest, measured.measurement)
        return Evaluated(measured, card, card_path(index.path), report)


def _write_report(
    path: Path, index: AttributionIndex, options: EvaluationOptions, measured: Measured
) -> None:
    """Put a measurement into the report, beside those of other metrics of the same index."""
    digest = index.manifest.digest
    found = _metrics_of(path, digest)
    found[options.metric] = {
        "measurement": measured.measurement.model_dump(mode="json"),
        "details": list(measured.details),
    }
    document = {"index": str(index.path.resolve()), "manifest": digest, "metrics": found}
    replace_file(path, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())


def _metrics_of(path: Path, digest: str) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
        kept = document["metrics"] if document["manifest"] == digest else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(kept) if isinstance(kept, dict) else {}
