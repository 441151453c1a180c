"""Questions that the demo puts to the service about files that the model never saw."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from byline.client import Client
from byline.client.attributions import QueryOptions
from byline.tasks import Document
from byline.tasks.tokenizer import Tokens
from examples.code_lm.corpus import Corpus
from examples.report import show_answer

SHOWCASES = ("uvicorn", "prometheus_client", "starlette")
"""Packages of which the snippet is shown that the model is surest to go on with; all count in the check."""
QUERIES_A_REQUEST = 8
PROMPT_TOKENS = 72


def ask(client: Client, folder: Path, corpus: Corpus, console: Console) -> None:
    """Ask about snippets of held-out files: what the model goes on with, then whose they resemble."""
    prompts = list(held_out_prompts(folder, corpus))
    completed = ask_all(client, [{"text": text} for _, text in prompts], {"k": 5, "shares": True}, console)
    shown = list(zip(prompts, completed, strict=True))
    for package in SHOWCASES:
        own = [entry for entry in shown if entry[0][0].label == package]
        if not own:
            continue
        (document, text), answer = max(own, key=lambda entry: entry[1]["prediction"]["token_probability"])
        show_answer(console, text, str(document.uri), answer)
    themselves = [{"text": text, "attribute": "text"} for _, text in prompts]
    answers = ask_all(client, themselves, {"k": 10}, console)
    show_check([document.owner for document, _ in prompts], answers, corpus, console)


def show_check(
    owners: Sequence[str | None], answers: Sequence[dict[str, Any]], corpus: Corpus, console: Console
) -> None:
    """Print how often the top influencers are by the owner of the snippet, beside chance."""
    found = [
        hit["example"]["owner"] == owner
        for owner, answer in zip(owners, answers, strict=True)
        for hit in answer["proponents"]
    ]
    characters: Counter[str | None] = Counter()
    for document in corpus.train:
        characters[document.owner] += len(document.text)
    chance = sum(characters[owner] for owner in owners) / characters.total() / len(owners)
    console.print(
        f"Check: of the {len(found)} top influencers of {len(owners)} held-out snippets, "
        f"[bold]{sum(found) / len(found):.0%}[/bold] are by the snippet's own owner "
        f"({chance:.0%} by chance).\n"
    )


def ask_all(
    client: Client, queries: Sequence[dict[str, Any]], options: QueryOptions, console: Console
) -> list[dict[str, Any]]:
    """Ask many questions, a few in each request."""
    answers: list[dict[str, Any]] = []
    starts = range(0, len(queries), QUERIES_A_REQUEST)
    for start in track(starts, description="asking over HTTP", console=console, transient=True):
        part = queries[start : start + QUERIES_A_REQUEST]
        found = client.attribute_batch("code-lm", part, **options)
        answers += [answer.model_dump(mode="json") for answer in found]
    return answers


def held_out_prompts(folder: Path, corpus: Corpus) -> Iterator[tuple[Document, str]]:
    """Cut a snippet of each held-out file: from a function or class on, past the file's header.

    Yields:
        (the file, the snippet).
    """
    encode = Tokens(folder).encode
    for document in corpus.held_out:
        text = document.text[len(document.text) // 4 :]
        start = max(text.find("\n    def "), text.find("\ndef "), text.find("\nclass "))
        snippet = text[start + 1 :] if start >= 0 else text
        _, spans = encode(snippet[:2_000])
        yield document, snippet[: spans[min(PROMPT_TOKENS, len(spans)) - 1][1]]
