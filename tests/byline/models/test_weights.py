"""Weights reach the model under whatever names and in whatever precision they were stored, or are refused by name."""

import warnings
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from byline.errors import InvalidTask
from byline.models.weights import put_weights
from tests.reference.models import TinyTransformer


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Sequential(nn.Linear(5, 3)))


def wrapped(model: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(model: nn.Module, other: nn.Module) -> None:
    for (name, left), right in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(left, right), name


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "_orig_mod.module.",
        "module._orig_mod.",
        "model.",
        "net.backbone.",
        "model.module.",
    ],
)
def test_prefixes_of_wrappers_and_training_loops(prefix: str) -> None:
    trained, model = network(), network()
    put_weights(model, wrapped(trained, prefix))
    assert_same(model, trained)


def test_wrappers_inside_a_model() -> None:
    trained, model = network(), network()
    stored = {n.replace("2.0.", "2._orig_mod.0.module."): t for n, t in trained.state_dict().items()}
    put_weights(model, stored)
    assert_same(model, trained)


def as_compiled(model: nn.Module) -> nn.Module:
    """Names as `torch.compile` makes them."""
    return nn.ModuleDict({"_orig_mod": model})


@pytest.mark.parametrize("wrap", [nn.DataParallel, as_compiled])
def test_a_wrapped_model_takes_plain_weights(wrap: Callable[[nn.Module], nn.Module]) -> None:
    trained, model = network(), network()
    put_weights(wrap(model), trained.state_dict())
    assert_same(model, trained)


def test_a_model_takes_what_is_inside_a_part_of_it() -> None:
    trained, model = network(), nn.ModuleDict({"backbone": network()})
    put_weights(model, trained.state_dict())
    assert_same(model["backbone"], trained)


def test_a_base_without_its_head_is_refused_by_the_heads_name() -> None:
    model = nn.ModuleDict({"backbone": network(), "head": nn.Linear(3, 2)})
    with pytest.raises(InvalidTask, match=r"2 missing, 0 unknown, the first missing 'head\.weight'"):
        put_weights(model, network().state_dict())


def test_one_of_two_models_in_a_file_is_not_guessed() -> None:
    with pytest.raises(InvalidTask, match="0 missing, 6 unknown"):
        put_weights(network(), wrapped(network(), "generator.") | wrapped(network(), "critic."))


def test_a_name_that_is_really_there_is_taken_first() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = nn.Linear(2, 2)
            self.gamma = nn.Parameter(torch.zeros(2))

    trained, model = Own(), Own()
    put_weights(model, {n: t + 1 for n, t in trained.state_dict().items()})
    assert torch.equal(model.gamma, torch.ones(2))
    assert torch.equal(model.module.bias, trained.module.bias + 1)


def test_old_names_of_norms() -> None:
    trained, model = network(), network()
    stored = trained.state_dict()
    stored["1.gamma"], stored["1.beta"] = stored.pop("1.weight") * 2, stored.pop("1.bias") + 3
    put_weights(model, stored)
    assert torch.equal(model[1].weight, torch.full((5,), 2.0))
    assert torch.equal(model[1].bias, torch.full((5,), 3.0))


def old(wrap: Callable[[nn.Module], nn.Module], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that it is old is the point
        return nn.Sequential(wrap(nn.Linear(4, 3)))


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_parametrizations_of_either_kind_of_the_other(name: str) -> None:
    before, now = getattr(nn.utils, name), getattr(parametrizations, name)
    inputs = torch.randn(6, 4)
    for from_wrap, to_wrap in [(before, now), (now, before), (now, now), (before, before)]:
        trained, model = old(from_wrap, 1).eval(), old(to_wrap, 2).eval()
        put_weights(model, wrapped(trained, "module."))
        torch.testing.assert_close(model(inputs), trained(inputs))


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("own", [torch.float32, torch.bfloat16])
def test_precisions_are_converted(stored: torch.dtype, own: torch.dtype) -> None:
    trained, model = network().bfloat16().to(stored), network().to(own)
    put_weights(model, trained.state_dict())
    assert model[0].weight.dtype == own
    assert torch.equal(model[0].weight.double(), trained[0].weight.double())


@pytest.mark.parametrize("left_out", ["head.weight", "tokens.weight"])
def test_a_tied_weight_may_be_stored_once_under_either_name(left_out: str) -> None:
    model = TinyTransformer()
    assert left_out in model.state_dict()
    weights = {n: torch.full_like(t, 0.5) for n, t in model.state_dict().items() if n != left_out}
    put_weights(model, wrapped_names(weights, "module."))
    assert bool((model.head.weight == 0.5).all())


def wrapped_names(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in weights.items()}


def test_a_tie_that_the_trained_model_did_not_have() -> None:
    model = TinyTransformer()
    weights = {n: t.clone() for n, t in model.state_dict().items()}
    weights["head.weight"] += 1
    with pytest.raises(InvalidTask, match=r"shares one parameter as .*head\.weight"):
        put_weights(model, weights)


class Buffers(nn.Module):
    """What older releases stored and newer ones compute, and what training changes."""

    def __init__(self, *, stored: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("position_ids", torch.arange(3), persistent=stored)
        self.register_buffer("masked_bias", torch.tensor(-1e4), persistent=stored)
        self.register_buffer("window", torch.hann_window(4), persistent=stored)


def test_buffers_that_are_computed_may_be_stored_or_not() -> None:
    put_weights(Buffers(stored=False), Buffers(stored=True).state_dict())
    put_weights(Buffers(stored=False), wrapped(Buffers(stored=True), "module."))
    stored = Buffers(stored=True).state_dict()
    put_weights(Buffers(stored=True), {n: stored[n] for n in ("linear.weight", "linear.bias", "window")})
    put_weights(nn.Linear(2, 2), {**nn.Linear(2, 2).state_dict(), "rotary.inv_freq": torch.zeros(2)})
    with pytest.raises(InvalidTask, match=r"'window': register the buffer with persistent=False"):
        put_weights(Buffers(stored=True), Buffers(stored=False).state_dict())


def test_statistics_of_a_norm_must_be_stored() -> None:
    stored = nn.BatchNorm1d(2).state_dict()
    del stored["running_mean"]
    with pytest.raises(InvalidTask, match="'running_mean'"):
        put_weights(nn.BatchNorm1d(2), stored)


def test_numbers_of_another_kind() -> None:
    quantized = {"weight": torch.zeros(2, 2, dtype=torch.int8), "bias": torch.zeros(2)}
    with pytest.raises(InvalidTask, match=r"'weight' to be stored as float32.*got int8: .*quantized"):
        put_weights(nn.Linear(2, 2), quantized)
    with pytest.raises(InvalidTask, match=r"got complex64"):
        put_weights(nn.Linear(2, 2), {**quantized, "weight": torch.zeros(2, 2, dtype=torch.complex64)})


def test_numbers_that_are_none_or_too_large() -> None:
    stored = nn.Linear(2, 2).state_dict()
    with pytest.raises(InvalidTask, match=r"got NaN in 'bias'"):
        put_weights(nn.Linear(2, 2), {**stored, "bias": torch.tensor([0.0, torch.nan])})
    with pytest.raises(InvalidTask, match=r"float16 can hold.*'bias'"):
        put_weights(nn.Linear(2, 2).half(), {**stored, "bias": torch.tensor([0.0, 1e6])})


def test_ordinary_loading_is_torchs_own() -> None:
    trained, model = TinyTransformer(), TinyTransformer()
    put_weights(model, OrderedDict(trained.state_dict()))
    assert_same(model, trained)


transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")
SIZES = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}


def bert(kind: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    config = transformers.BertConfig(**SIZES, vocab_size=20, num_labels=3)
    model: nn.Module = getattr(transformers, kind)(config)
    return model.eval()


def test_bert_under_its_old_names() -> None:
    trained, model = bert("BertForMaskedLM", 1), bert("BertForMaskedLM", 2)
    stored = {
        n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
        for n, t in trained.state_dict().items()
    }
    stored["bert.embeddings.position_ids"] = torch.arange(512)[None]
    put_weights(model, wrapped_names(stored, "module."))
    assert_same(model, trained)


def test_a_base_model_with_and_without_its_prefix(capfd: pytest.CaptureFixture[str]) -> None:
    whole, base = bert("BertForMaskedLM", 1), bert("BertModel", 2)
    stored = {**whole.state_dict(), **wrapped(base.pooler, "bert.pooler.")}
    put_weights(base, stored)  # the head is none of the base model's
    assert torch.equal(
        base.encoder.layer[1].output.dense.weight, whole.bert.encoder.layer[1].output.dense.weight
    )
    masked = bert("BertForMaskedLM", 3)
    put_weights(masked, stored)  # and the pooler none of the language model's
    assert_same(masked, whole)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(InvalidTask, match=r"missing 'classifier"):
        put_weights(bert("BertForSequenceClassification", 1), base.state_dict())
    with pytest.raises(InvalidTask, match="got 0 tensors"):
        put_weights(base, {})


def test_layers_that_the_model_does_not_have_are_refused() -> None:
    trained = bert("BertForMaskedLM", 1)
    config = transformers.BertConfig(**{**SIZES, "num_hidden_layers": 1}, vocab_size=20)
    with pytest.raises(InvalidTask, match=r"unknown 'bert\.encoder\.layer\.1\."):
        put_weights(transformers.BertForMaskedLM(config), trained.state_dict())


def test_gpt2_as_it_was_first_published() -> None:
    def gpt2(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        config = transformers.GPT2Config(n_embd=8, n_layer=2, n_head=2, n_positions=12, vocab_size=20)
        return transformers.GPT2LMHeadModel(config)

    trained, model = gpt2(1), gpt2(2)
    stored = {
        n.removeprefix("transformer."): t for n, t in trained.state_dict().items() if n != "lm_head.weight"
    }
    stored |= {f"h.{layer}.attn.bias": torch.ones(12, 12).tril()[None, None] for layer in range(2)}
    stored |= {f"h.{layer}.attn.masked_bias": torch.tensor(-1e4) for layer in range(2)}
    put_weights(model, stored)
    assert_same(model, trained)


def test_experts_that_are_stored_one_by_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    from byline.models.weight_files import read_weights

    def mixtral(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        config = transformers.MixtralConfig(
            **SIZES, num_key_value_heads=2, vocab_size=20, num_local_experts=3, max_position_embeddings=8
        )
        return transformers.MixtralForCausalLM(config)

    trained, model, folder = mixtral(1), mixtral(2), tmp_path_factory.mktemp("mixtral")
    trained.save_pretrained(folder, max_shard_size="4KB")
    random_before = torch.get_rng_state()
    put_weights(model, read_weights(folder))
    assert_same(model, trained)
    assert torch.equal(torch.get_rng_state(), random_before)
    model = mixtral(3)
    put_weights(model, wrapped_names(read_weights(folder), "model._orig_mod."))
    assert_same(model, trained)


def test_a_4_bit_file_is_refused_with_a_way_that_works() -> None:
    weights = network().state_dict()
    weights["0.weight"] = torch.zeros(10, 1, dtype=torch.uint8)
    weights |= {"0.weight.absmax": torch.zeros(1), "0.weight.quant_state.bitsandbytes__nf4": torch.zeros(9)}
    with pytest.raises(InvalidTask, match=r"they are quantized: .* the PeftModel around it, in memory"):
        put_weights(network(), weights)


def test_a_quantised_file_of_a_pretrained_model_is_refused() -> None:
    stored = bert("BertForMaskedLM", 1).state_dict()
    old = {n.replace("LayerNorm.weight", "LayerNorm.gamma"): t.to(torch.int8) for n, t in stored.items()}
    with pytest.raises(InvalidTask, match="quantized"):
        put_weights(bert("BertForMaskedLM", 2), old)
