"""What goes over the wire: safetensors written a part at a time, events read a byte at a time."""

import subprocess
import sys
import tracemalloc

import pytest
import torch
from safetensors.torch import load

from byline.client.tensors import CHUNK_BYTES, TensorsBody
from byline.errors import InvalidQuery


def test_tensors_come_out_as_they_went_in():
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "c0/half": torch.randn(3, 5, generator=generator).half(),
        "c0/brain": torch.randn(7, generator=generator).bfloat16(),
        "c0/whole": torch.randn(2, 3, 4, generator=generator),
        "c0/turned": torch.randn(6, 4, generator=generator).T,
        "c0/empty": torch.zeros(0, 3),
        "c0/number": torch.tensor(2.5),
        "c0/leaf": torch.randn(4, generator=generator).requires_grad_(),
    }
    body = TensorsBody(tensors)
    for _ in range(2):  # a second attempt sends it again
        data = b"".join(body.chunks())
        assert len(data) == body.length
        found = load(data)
        assert set(found) == set(tensors)
        for name, tensor in tensors.items():
            assert found[name].dtype == tensor.dtype
            assert torch.equal(found[name], tensor.detach())


def test_double_precision_is_sent_as_single():
    found = load(b"".join(TensorsBody({"w": torch.full((3,), 0.1, dtype=torch.float64)}).chunks()))
    assert torch.equal(found["w"], torch.full((3,), 0.1))


@pytest.mark.parametrize(
    "tensor", [torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.complex64), [1.0]]
)
def test_other_kinds_are_refused(tensor):
    with pytest.raises(InvalidQuery, match="'w'"):
        TensorsBody({"w": tensor})


def test_no_body_is_whole_in_memory():
    body = TensorsBody({f"w{n}": torch.zeros(1 << 20, 4) for n in range(2)})  # 32 MiB
    tracemalloc.start()
    longest = max(len(chunk) for chunk in body.chunks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert body.length > 32 << 20
    assert longest == CHUNK_BYTES
    assert peak < 8 * CHUNK_BYTES


def test_the_client_is_light_and_knows_nothing_of_the_server():
    code = "import sys, byline.client; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = run.stdout.split()
    assert not {"torch", "faiss", "numpy", "fastapi"} & set(modules)
    own = {each for each in modules if each.startswith("byline")} - {
        "byline",
        "byline.errors",
        "byline.version",
    }
    assert {
        each for each in own if not each.startswith(("byline.client", "byline.api", "byline.names"))
    } == set()
