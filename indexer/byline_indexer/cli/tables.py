"""Lay out recipes, estimates, indexes, answers and measurements as tables."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from byline.api.answer import Answer, Shares
from byline.api.answer_parts import Attribution
from byline.api.quality_card import BASELINE_TITLES, Measurement, bounded, figure
from byline.gradients.report import ParameterReport
from byline.index.index import AttributionIndex
from byline.index.manifest import RecallRecord
from byline.index.quality_card import CardReading
from byline.recipes import RECIPES
from byline_indexer.build.estimate import Estimate
from byline_indexer.cli.progress_bar import clock

PREVIEW = 60
"""Characters of a preview in a table."""
_LEGIBLE = 30
"""Characters in a line of a preview, at least, in a terminal of 80 columns."""
_NAMED = ("id", "owner", "license", "label")


def recipes_table() -> Table:
    """Lay out every recipe, one a row."""
    table = Table(title="Recipes")
    for column in ("name", "gradient of", "projection", "curvature"):
        table.add_column(column, no_wrap=True)
    table.add_column("for")
    for name, recipe in RECIPES.items():
        weight = " x (1-p)" if recipe.row_weight == "one_minus_p" else ""
        kinds = recipe.projection.kind, recipe.curvature.kind
        table.add_row(name, recipe.train_signal + weight, *kinds, _PURPOSES[name])
    return table


_PURPOSES = {
    "grad_dot": "a baseline: cheap, long gradients win",
    "grad_cos": "a baseline: cosines of gradients",
    "tracin": "checkpoints of one run, by their learning rates",
    "rps": "the last layer alone: cheapest, coarsest",
    "grass": "as trak, on some coordinates: big models, one pass",
    "factgrass": "as logra, on some coordinates of wide layers",
    "if_exact": "up to 20,000 numbers: the whole matrix, a yardstick",
    "datainf": "adapters: each layer's inverse in closed form",
    "rif": "leaving points out beyond the first order",
    "relatif": "as ekfac, where extreme points crowd every answer",
    "trak": "comparison with the literature on classifiers",
    "d_trak": "diffusion models: likeness by the prediction's square",
    "logra": "large models: one pass, projected factors",
    "trackstar": "unit norms, an optimizer's scale",
    "less": "each point's own Adam step",
    "kfac": "as ekfac, one pass less",
    "ekfac_pca": "the default: most accurate for its bytes",
    "ekfac_adam": "language models: as ekfac_pca, in Adam's geometry",
    "ekfac": "as ekfac_pca, a few coordinates and no PCA",
    "dvemb": "which step, in which order: a recorded SGD run",
    "ekfac_margin": "classifiers that fit their data",
    "arnoldi": "the Hessian's strongest directions; few numbers a row",
    "if_cg": "no fitted matrix: a query costs passes over a sample",
    "if_lissa": "as if_cg, by many steps of one batch each",
}


def estimate_table(found: Estimate) -> Table:
    """Lay out the estimate of a build."""
    table = Table("quantity", "estimate", title="Estimate: nothing was written")
    table.add_row("rows x numbers", f"{found.rows:,} x {found.width:,} ({found.members} members)")
    table.add_section()
    for each in found.passes:
        table.add_row(f"{each.name} ({each.rows:,} rows)", clock(each.seconds))
    table.add_section()
    for name, value in _parameter_lines(found.parameters):
        table.add_row(name, plain(value))
    table.add_section()
    table.add_row("time, all passes (± a quarter)", clock(found.seconds))
    table.add_row("peak memory, all processes", size(found.memory))
    table.add_row("stored rows", size(found.vectors))
    table.add_row("search file", size(found.search))
    table.add_row("curvature", size(found.curvature))
    table.add_row("whole index", size(found.index))
    table.add_row("disk during the build", size(found.temporary))
    return table


def _parameter_lines(report: ParameterReport) -> Iterator[tuple[str, str]]:
    """List the selected parameters, a line for each kind.

    Yields:
        What the line is about, and the line.
    """
    for kind, names in (
        ("attributed", report.attributed),
        ("unused", report.unused),
        ("frozen", report.frozen),
        ("quantized", report.quantized),
    ):
        if names:
            shown = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
            yield f"parameters {kind}", f"{len(names):,}: {shown}"
    if report.reason is not None:
        yield "passes", report.reason


MOST_NAMES = 12
"""Parameters that a table names. `byline inspect --json` names all."""


def plain(text: str) -> Text:
    """Make text of others, such as owners and previews, safe: no markup, and no control characters."""
    return Text("".join(each if each.isprintable() else " " for each in text))


def index_facts(index: AttributionIndex) -> dict[str, Any]:
    """Describe an index as JSON."""
    owners = [owner for owner, _, _ in index.examples.owners()]
    return {
        "path": str(index.path),
        "version": index.version,
        "task": index.manifest.task.name,
        "recipe": index.recipe.model_dump(mode="json"),
        "rows": index.rows,
        "unit": "point" if index.groups is None else "group",
        "points": index.points,
        "width": index.width,
        "members": [member.name for member in index.members],
        "owners": len(owners),
        "bytes": sum(file.stat().st_size for file in index.path.rglob("*") if file.is_file()),
        "quality_card": None if index.quality.card is None else index.quality.card.model_dump(mode="json"),
        "quality_card_problem": index.quality.problem,
        "manifest": index.manifest.model_dump(mode="json"),
    }


def index_table(index: AttributionIndex) -> Table:
    """Lay out the facts of an index."""
    facts = index_facts(index)
    table = Table("property", "value", title=plain(f"{facts['task']}, version {facts['version']}"))
    storage = facts["manifest"]["storage"]
    rows = {
        "path": facts["path"],
        "recipe": f"{index.recipe.name}: {index.recipe.projection.kind}, {index.recipe.curvature.kind}",
        "rows": f"{facts['rows']:,}{_grouped(index)}",
        "numbers a row": f"{facts['width']:,}",
        "members": ", ".join(facts["members"]),
        "owners": f"{facts['owners']:,}",
        "storage": ", ".join(f"{key} {value}" for key, value in storage.items() if value is not None),
        "bytes": size(facts["bytes"]),
    }
    for name, value in rows.items():
        table.add_row(name, plain(value))
    for name, value in _parameter_lines(index.manifest.parameters):
        table.add_row(name, plain(value))
    for record in index.manifest.search.recall:
        table.add_row("recall@10", plain(_recall(record)))
    for line in quality_lines(index.quality):
        table.add_row("quality", plain(line))
    return table


def _recall(record: RecallRecord) -> str:
    scanned = "" if not record.scanned else f"; {record.scanned:.0%} by an exact scan"
    return f"{record.recall_at_10:.4f} for {record.kind}, {record.rankings} rankings{scanned}"


def _grouped(index: AttributionIndex) -> str:
    record = index.manifest.groups
    if record is None:
        return ""
    return f" groups of {record.points:,} training points, by {record.options.by}"


def quality_lines(found: CardReading) -> list[str]:
    """List a quality card's measurements, a line each, or the reason why it is not used."""
    if found.problem is not None:
        return [f"no card: {found.problem}"]
    if found.card is None or not found.card.measurements:
        return ["not measured: `byline evaluate` does"]
    return [_measured(each) for each in found.card.measurements]


def _measured(each: Measurement) -> str:
    ceiling = "" if each.ceiling is None else f"; ceiling {figure(each.ceiling)}"
    baselines = f"; on the same truth {each.baseline_text}" if each.baselines else ""
    dropped = f", {each.protocol.dropped} dropped" if each.protocol.dropped else ""
    return f"{each.text}{dropped}{ceiling}{baselines}; {each.measured}"


def self_influence_table(found: Sequence[dict[str, Any]]) -> Table:
    """Lay out training points, the strongest first."""
    table = Table("rank", "row", "self-influence", "id", "owner", "label", "preview")
    for each in found:
        example = each["example"]
        table.add_row(
            str(each["rank"]),
            str(each["row"]),
            f"{each['self_influence']:.4g}",
            *(plain(str(example[name] or "")) for name in ("id", "owner", "label")),
            plain(_short(example["preview"])),
        )
    return table


def answer_tables(answer: Answer) -> Iterator[Table]:
    """Lay out an answer: the prediction, its training points, its owners' shares.

    Yields:
        Tables, one for each end and one for the shares.
    """
    predicted = "" if answer.prediction is None else f"predicted {dict(answer.prediction)}; "
    what = _ranking(answer)
    heading = f"{predicted}{what}, {answer.index} {answer.version}"
    for name, found in (("proponents", answer.proponents), ("opponents", answer.opponents)):
        if found is not None:
            told = (_searched(answer), _certainty(answer), _trusted(answer, getattr(answer.optimism, name)))
            caption = "\n".join(line for line in told if line)
            yield _attributions_table(f"{name}: {heading}", found, caption or None)
    if answer.shares is not None:
        yield _shares_table(answer.shares)


def _ranking(answer: Answer) -> str:
    if answer.blend is not None:
        return f"by a blend ({answer.blend.text}), no attribution by gradients alone, target {answer.target}"
    return f"target {answer.target}" if answer.baseline is None else f"by similarity ({answer.baseline})"


def _searched(answer: Answer) -> str | None:
    """Describe the search, if it did not go over every row."""
    searched, total = f"{answer.coverage.searched:,}", f"{answer.coverage.total:,}"
    if answer.drilled_groups is not None:
        return f"the points of {answer.drilled_groups:,} groups: {searched} of {total} training points"
    if answer.unit == "group":
        return f"groups of {searched} of {total} training points searched"
    return None if answer.coverage.complete else f"{searched} of {total} training points searched"


def _trusted(answer: Answer, optimism: float | None) -> str | None:
    """Describe the source of the intervals, and the optimism of the best scores."""
    if answer.standard_error_units is None:
        return None
    counted = "checkpoints" if answer.standard_error_scope == "between_checkpoints" else "adapters or masks"
    told = f"intervals by Student's t over {answer.standard_error_units:,} {counted}"
    much = "somewhat" if optimism is None else f"about {optimism:.1%}"
    return f"{told}; picked as the best of many, the scores are {much} too strong"


def _certainty(answer: Answer) -> str | None:
    """Describe the expected recall of a search that was not exact."""
    search = answer.search
    if search is None or search.exact:
        return None
    percent = math.floor(search.expected_recall * 1e4) / 100
    return f"{search.candidates:,} candidates by codes: at least {percent:g} % of the best rows are expected here"


def _attributions_table(title: str, found: Sequence[Attribution], caption: str | None) -> Table:
    """Lay out training points. A column that all of them leave empty would take room from the preview."""
    columns = {
        "rank": [str(each.rank) for each in found],
        "score": [f"{each.score:+.4g}" for each in found],
        "95 % interval": [
            "" if each.interval is None else "{:+.4g} to {:+.4g}".format(*each.interval) for each in found
        ],
        **{name: [getattr(each.example, name) or "" for each in found] for name in _NAMED},
        "preview": [_short(each.example.preview) for each in found],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells) or name == "preview"}
    table = Table(title=plain(title), caption=caption)
    others = sum(3 + max(map(len, [name, *cells])) for name, cells in shown.items() if name != "preview")
    room = max(_LEGIBLE, min(PREVIEW, Console().width - others - 4))
    for name in shown:
        table.add_column(name, width=room if name == "preview" else None, overflow="fold")
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*map(plain, cells))
    return table


def _shares_table(shares: Shares) -> Table:
    table = Table("owner", "share", "95 % interval", "score", "examples", title="shares over all rows")
    for each in shares.owners:
        table.add_row(
            plain(each.owner or "(nobody)"),
            "" if each.share is None else f"{each.share:.1%}",
            "" if each.share_interval is None else "{:.1%} to {:.1%}".format(*each.share_interval),
            f"{each.score:+.4g}",
            f"{each.examples:,}",
        )
    return table


def _short(text: str | None) -> str:
    line = " ".join((text or "").split())
    return line if len(line) <= PREVIEW else line[: PREVIEW - 1] + "…"


def size(count: int) -> str:
    """Write a number of bytes with its unit."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def measurement_table(found: Measurement) -> Table:
    """Lay out one measurement with its protocol."""
    protocol = found.protocol
    table = Table("quantity", "value", title=plain(found.text), title_justify="left")
    rows = {
        found.title: f"{found.value:.3f}",
        "95 % interval": None if found.interval is None else "{:.3f} to {:.3f}".format(*found.interval),
        "noise ceiling": None if found.ceiling is None else figure(found.ceiling),
        **{name.replace("_", " "): f"{value:.3f}" for name, value in found.further.items()},
        **{
            f"{BASELINE_TITLES.get(name, name)}, same truth": bounded(each.value, each.interval)
            for name, each in found.baselines.items()
        },
        "attributed": protocol.target,
        "f of the retrained models": "minus the loss" if protocol.output == "loss" else protocol.output,
        "queries": _count(protocol.queries),
        "dropped, constant truth": _count(protocol.dropped or None),
        "set apart for tuning": _count(protocol.tuned_on or None),
        "subsets x seeds": None if protocol.subsets is None else f"{protocol.subsets} x {protocol.seeds}",
        "share kept": None if protocol.alpha is None else f"{protocol.alpha:g}",
        "seeds": _SEEDS[protocol.paired],
        "owners": _count(protocol.owners),
        "wrong labels": _count(protocol.wrong_labels),
        "truth": protocol.truth if protocol.wrong_labels is None else None,
    }
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, plain(value))
    if found.baselines:
        table.caption, table.caption_justify = plain(_against_baselines(found)), "left"
    return table


_SEEDS = {True: "paired: the same for all subsets", False: "independent: each subset's own", None: None}


def _against_baselines(found: Measurement) -> str:
    """Say in a sentence whether gradients earn their cost."""
    rivals = [BASELINE_TITLES.get(name, name) for name in found.not_better_than]
    if not rivals:
        return (
            f"Better than {' and '.join(BASELINE_TITLES.get(name, name) for name in found.baselines)} here."
        )
    return f"Not better than {' or '.join(rivals)} here, which costs no gradients."


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"
