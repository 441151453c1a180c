"""Options and gradients of a question: those that do not fit are refused with a reason."""

import pytest
import torch
from safetensors.torch import save

from tests.service.http.test_bodies import ASK, MARK, TENSORS, good_tensors, refused


def without(tensors, name):
    return {key: tensor for key, tensor in tensors.items() if key != name}


GRADIENTS = {
    "empty": b"",
    "short": b"\x08",
    "no header": b"\xff" * 64,
    "header of text": len(MARK).to_bytes(8, "little") + MARK.encode(),
    "header too long": (1 << 60).to_bytes(8, "little") + b"{}",
    "offsets outside": (64).to_bytes(8, "little")
    + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'.ljust(64),
    "missing": save(without(good_tensors(), "c0-m1/w")),
    "unknown": save(good_tensors() | {MARK: torch.ones(6)}),
    "wrong shape": save(good_tensors() | {"c0-m1/w": torch.ones(5)}),
    "wrong rank": save(good_tensors() | {"c0-m1/w": torch.ones(6, 1)}),
    "integers": save(good_tensors() | {"c0-m1/w": torch.ones(6, dtype=torch.int64)}),
    "NaN": save(good_tensors() | {"c0-m1/w": torch.full((6,), float("nan"))}),
    "huge": save(good_tensors() | {"c0-m1/w": torch.full((6,), 1e30)}),
    "truncated": save(good_tensors())[:-4],
    "longer": save(good_tensors()) + b"\0" * 4,
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_bad_gradients_are_problems(served, name):
    refused(served.client.post(ASK, content=GRADIENTS[name], headers=TENSORS), 422)
    assert served.client.post(ASK, content=save(good_tensors()), headers=TENSORS).status_code == 200


@pytest.mark.parametrize(
    "query", ["k=0", "k=1001", "k=1" + "0" * 400, "k=x", f"{MARK}=1", "direction=up", "owner="]
)
def test_bad_options_of_gradients(served, query):
    response = served.client.post(f"{ASK}?{query}", content=save(good_tensors()), headers=TENSORS)
    if query == "owner=":
        assert response.json()["proponents"] == []
    else:
        refused(response, 422)


def test_options_of_a_json_body_are_not_taken_from_the_address(served):
    refused(served.client.post(f"{ASK}?k=3", json={"query": {"text": "x"}}), 422)
