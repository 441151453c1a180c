"""A small index in memory: all that an `Attributor` asks of one, in numpy."""

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from byline.api.example import Example
from byline.api.query import Filter
from byline.attribution.attributor import Attributor
from byline.errors import InvalidQuery, NotFound
from byline.features.queries import QueryFeatures
from byline.index.layout import MemberLayout
from byline.index.quality_card import CardReading
from byline.members import Member
from byline.recipes import recipe
from byline.search.candidates import Certainty
from byline.task import ParsedQuery, Prediction, QueryInterface

WIDTH = 6
"""K of each member."""


class TextPayload(BaseModel):
    """A text and its label."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"text": "hello"}]}
    )

    text: str = Field(min_length=1, max_length=500)
    label: int | None = Field(default=None, ge=0, lt=10)


class FakeExamples:
    def __init__(self, examples):
        self._examples = examples

    def by_rows(self, rows):
        return [self._examples[int(row)] for row in rows]

    def ids(self, rows):
        return [self._examples[int(row)].id for row in rows]

    def images(self, rows):
        chosen = {int(row): self._examples[int(row)].image for row in rows}
        return {row: image for row, image in chosen.items() if image is not None}

    def with_images(self, rows):
        return set(self.images(rows))

    def row_of(self, example_id):
        for row, example in enumerate(self._examples):
            if example.id == example_id:
                return row
        raise NotFound("none")

    def page(self, after_row=-1, limit=100):
        return list(enumerate(self._examples))[after_row + 1 : after_row + 1 + limit]

    def rows_matching(self, chosen: Filter):
        keep = [
            row
            for row, example in enumerate(self._examples)
            if all(
                getattr(chosen, name) is None or getattr(example, name) in getattr(chosen, name)
                for name in ("id", "owner", "license", "label")
            )
            and all(example.attributes.get(key) == value for key, value in chosen.attributes.items())
        ]
        return np.array(keep, dtype=np.int64)

    def owners(self):
        names = sorted({example.owner for example in self._examples if example.owner})
        counts = [sum(example.owner == name for example in self._examples) for name in names]
        return [(name, count, ["MIT"]) for name, count in zip(names, counts, strict=True)]

    def licenses(self):
        return [("MIT", len(self._examples))]


class FakeSearcher:
    def __init__(self, features_RK, members, owner_R, owners):
        self._features_RK = features_RK.astype(np.float64)
        self._members, self._owner_R, self._owners = members, owner_R, owners

    def _by_member(self, features_QK):
        queries = features_QK.numpy().astype(np.float64)
        parts = np.split(np.arange(queries.shape[1]), self._members)
        each = [(queries[:, None, part] * self._features_RK[:, part]).sum(axis=-1) for part in parts]
        return self._members * np.stack(each, axis=-1)

    def search(self, features_QK, k, *, opponents=False, rows=None):
        scores_QR = self._by_member(features_QK).mean(axis=-1)
        rows = np.arange(scores_QR.shape[1]) if rows is None else rows
        signed = scores_QR[:, rows] * (1 if opponents else -1)
        order = np.argsort(signed, axis=1, kind="stable")[:, :k]
        return SimpleNamespace(
            rows_QK=rows[order],
            scores_QK=np.take_along_axis(scores_QR[:, rows], order, axis=1),
            certainties_Q=[Certainty(exact=True, candidates=len(rows), expected_recall=1.0)] * len(order),
        )

    def scores(self, features_QK):
        return self._by_member(features_QK).mean(axis=-1).astype(np.float32)

    def member_scores(self, features_QK, hits, parts_QMK=None):
        all_QRM = self._by_member(features_QK)
        return np.stack([all_QRM[q, rows] for q, rows in enumerate(hits.rows_QK)])

    def owner_scores(self, features_QK, parts_QMK=None):
        all_QRM = self._by_member(features_QK)
        return np.stack([all_QRM[:, self._owner_R == o].sum(axis=1) for o in range(self._owners)], axis=1)


@dataclass
class FakeFeaturizer:
    """Features are a fixed random function of the item; can be held up to test queues."""

    members: tuple
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    batches: list = field(default_factory=list)
    model: object = None

    def __post_init__(self):
        self.width = WIDTH * len(self.members)
        self.gate.set()

    def expected_gradients(self):
        return {f"{member.name}/w": (WIDTH,) for member in self.members}

    def features(self, items, target=None, *, mean=False, refine=0):
        self.entered.set()
        self.gate.wait(20)
        self.batches.append(len(items))
        if any(item == "boom" for item, _ in items):
            raise IndexError("secret content")
        features_QK = torch.stack([self._feature(item, target) for item in items])
        return QueryFeatures(whole_QK=features_QK.mean(dim=0, keepdim=True) if mean else features_QK)

    def _feature(self, item, target):
        text, label = item
        seed = [*text.encode("utf-8", "replace"), label, len(target)]
        return torch.from_numpy(np.random.default_rng(seed).standard_normal(self.width)).float()

    def features_of(self, tensors, *, refine=0):
        if set(tensors) != set(self.expected_gradients()):
            raise InvalidQuery("expected other names")
        for tensor in tensors.values():
            if (
                tuple(tensor.shape) != (WIDTH,)
                or not tensor.is_floating_point()
                or not tensor.isfinite().all()
            ):
                raise InvalidQuery("expected other shapes")
        return QueryFeatures(whole_QK=torch.cat([tensors[f"{m.name}/w"].float() for m in self.members])[None])


def fake_task(rows=200):
    def parse(payload):
        if payload.text == "refused":
            raise ValueError("secret content")
        return ParsedQuery(item=(payload.text, payload.label or 0), complete=payload.label is not None)

    def predict(model, item):
        label = len(item[0]) % 10
        return Prediction(item=(item[0], label), output={"label": str(label), "probability": 0.5})

    return SimpleNamespace(
        name="fake",
        targets={"margin": None},
        noise=None,
        train_set=[(f"hello number {row % 50}", row % 10) for row in range(rows)],
        text=lambda item: item[0],
        representation=None,
        query=QueryInterface(payload=TextPayload, parse=parse, predict=predict),
    )


def fake_attributor(*, rows=200, members=3, checkpoints=1, task=True, name="fake", card=None):
    """An Attributor over random features, and its featurizer."""
    random = np.random.default_rng(7)
    ensemble = tuple(Member(m % checkpoints, m if members > 1 else None) for m in range(members))
    features_RK = random.standard_normal((rows, WIDTH * members)).astype(np.float32)
    owner_R = np.arange(rows) % 3
    examples = [
        Example(
            id=f"docs/{row}/part.py#{row}",
            owner=f"owner {owner_R[row]}",
            license="MIT",
            uri=f"https://example.org/{row}",
            label="even" if row % 2 == 0 else "odd",
            preview=f"<script>alert({row})</script>",
            image=np.full((2, 3), row, dtype=np.uint8) if row % 4 == 0 else None,
            attributes={"row": row},
        )
        for row in range(rows)
    ]
    index = SimpleNamespace(
        rows=rows,
        width=WIDTH * members,
        version="0123456789ab",
        recipe=recipe("grad_dot"),
        fingerprint=SimpleNamespace(recipe="f" * 64),
        members=[
            MemberLayout(name=m.name, checkpoint=m.checkpoint, mask_seed=m.mask_seed, width=WIDTH)
            for m in ensemble
        ],
        manifest=SimpleNamespace(
            task=SimpleNamespace(name=name),
            storage=SimpleNamespace(search="exact", exact=True),
            groups=None,
            digest="d" * 64,
        ),
        quality=CardReading(card),
        groups=None,
        points=rows,
        points_of=len,
        examples=FakeExamples(examples),
        owners=SimpleNamespace(names=tuple(f"owner {o}" for o in range(3)), rows=owner_R),
        self_influence=random.random(rows).round(2),
        row_source=SimpleNamespace(gather=lambda chosen: features_RK[chosen]),
        query_vectors=lambda features_QK: features_QK.numpy(),
    )
    featurizer = FakeFeaturizer(ensemble)
    searcher = FakeSearcher(features_RK, members, owner_R, 3)
    attributor = Attributor(
        index,
        searcher,
        task=fake_task(rows) if task else None,
        featurizer=featurizer if task else None,
        name=name,
    )
    return attributor, featurizer
