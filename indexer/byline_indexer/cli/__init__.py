"""Sub-commands that make an index. Nothing heavy is imported before a command runs."""

import typer

from byline_indexer.cli import build, candidates, ensembles, evaluate, inspect, query, tuning


def register(app: typer.Typer) -> None:
    """Add the indexer's commands to the command line."""
    app.command()(build.build)
    app.command()(build.recipes)
    app.command("train-adapters")(ensembles.train_adapters)
    app.command("plan-ensemble")(ensembles.plan_ensemble)
    app.command()(inspect.inspect)
    app.command()(inspect.verify)
    app.command("self-influence")(inspect.self_influence)
    app.command()(query.query)
    app.command()(query.scores)
    app.command("score-candidates")(candidates.score_candidates)
    app.command()(evaluate.evaluate)
    app.command()(tuning.tune)
