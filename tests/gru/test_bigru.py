# Copyright 2026 The hf_variants authors. MIT licence.
"""bigru against its equations: what it reads and what it does not, its pooled vectors, sizes, and initial weights."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import AutoModel

from hf_variants.gru import modeling_bigru
from hf_variants.gru.configuration_bigru import BiGRUConfig
from hf_variants.gru.modeling_bigru import BiGRUForSequenceClassification, BiGRUModel, reading_orders
from tests.helpers.models import build, tiny_config

POOLINGS = ("last", "max", "mean", "attention")
EVERY_POOLING = pytest.mark.parametrize("pooling", POOLINGS)
LENGTHS = (70, 1, 33, 32, 5)  # texts that end at the end of a chunk, after it and within it
SEQ = 75


def bigru(pooling="last", model_class=BiGRUModel, dtype=torch.float64, **overrides):
    """Return a tiny model of two layers; double precision tells rounding from errors."""
    return build(model_class, tiny_config("bigru", pooling=pooling, **overrides)).to(dtype)


def scattered(lengths=LENGTHS, seq=SEQ, where="right"):
    """Return ids and mask `(batch, seq)` of texts with padding on a side or at random places, and any ids there."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 99, (len(lengths), seq), generator=generator)
    mask = torch.zeros_like(ids)
    for line, length in enumerate(lengths):
        columns = {
            "right": torch.arange(length),
            "left": torch.arange(seq - length, seq),
            "holes": torch.randperm(seq, generator=generator)[:length],
        }[where]
        mask[line, columns] = 1
    return ids, mask


def step(gru, state, token):
    """Return the state after a token: the GRU's equations, gates in torch's order (reset, update, new)."""
    inputs = gru.weight_ih_l0 @ token + gru.bias_ih_l0
    recurrent = gru.weight_hh_l0 @ state + gru.bias_hh_l0
    (input_r, input_z, input_n), (state_r, state_z, state_n) = inputs.chunk(3), recurrent.chunk(3)
    reset, update = torch.sigmoid(input_r + state_r), torch.sigmoid(input_z + state_z)
    return (1 - update) * torch.tanh(input_n + reset * state_n) + update * state


def naive_states(model, ids):
    """Return the last layer's states for the ids of one text, `(length, 2 * hidden)`, token by token."""
    tokens = list(model.embed_tokens(ids))
    for layer in model.layers:
        read = []
        for gru, order in ((layer.forwards, tokens), (layer.backwards, tokens[::-1])):
            states = [torch.zeros(gru.hidden_size, dtype=model.dtype)]
            for token in order:
                states.append(step(gru, states[-1], token))
            read.append(states[1:])
        tokens = [torch.cat(pair) for pair in zip(read[0], read[1][::-1], strict=True)]
    return torch.stack(tokens)


def naive_pooled(model, states):
    """Return the pooled vector of one text's states."""
    half, pooler = states.shape[1] // 2, model.pooler
    if pooler.pooling == "last":
        return torch.cat([states[-1, :half], states[0, half:]])
    if pooler.pooling == "max":
        return torch.stack([max(column) for column in states.T])
    if pooler.pooling == "mean":
        return sum(states) / len(states)
    scores = [
        pooler.query.weight[0] @ torch.tanh(pooler.projection.weight @ h + pooler.projection.bias) for h in states
    ]
    total = sum(score.exp() for score in scores)
    return sum(score.exp() / total * state for score, state in zip(scores, states, strict=True))


# ---- reading -------------------------------------------------------------------------------------------------------


@torch.no_grad()
@EVERY_POOLING
@pytest.mark.parametrize("where", ["right", "left", "holes"])
def test_states_and_pooled_vectors_follow_the_equations(pooling, where):
    model = bigru(pooling)
    ids, mask = scattered(where=where)
    result = model(ids, mask)
    assert result.last_hidden_state.shape == (5, SEQ, 64) and result.pooler_output.shape == (5, 64)
    for line, real in enumerate(mask.bool()):
        expected = naive_states(model, ids[line, real])
        torch.testing.assert_close(result.last_hidden_state[line, real], expected, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(result.pooler_output[line], naive_pooled(model, expected), atol=1e-9, rtol=1e-9)
        assert not result.last_hidden_state[line, ~real].any()


@torch.no_grad()
def test_a_layer_is_a_bidirectional_gru_of_torch_on_packed_sequences():
    model = bigru(num_hidden_layers=1)
    layer, ids = model.layers[0], scattered()[0]
    packed = nn.GRU(20, 32, batch_first=True, bidirectional=True, dtype=torch.float64)
    for name, parameter in layer.forwards.named_parameters():
        getattr(packed, name).copy_(parameter)
        getattr(packed, f"{name}_reverse").copy_(getattr(layer.backwards, name))
    embedded = pack_padded_sequence(model.embed_tokens(ids), LENGTHS, batch_first=True, enforce_sorted=False)
    states, last = packed(embedded)
    expected = pad_packed_sequence(states, batch_first=True, total_length=SEQ)[0]
    result = model(ids, scattered()[1])
    torch.testing.assert_close(result.last_hidden_state, expected, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(result.pooler_output, torch.cat([last[0], last[1]], dim=-1), atol=1e-12, rtol=1e-12)


@EVERY_POOLING
@pytest.mark.parametrize("where", ["right", "left", "holes"])
def test_a_padded_batch_gives_each_row_what_it_gets_alone(pooling, where):
    """Outputs, and the gradients of every parameter."""
    ids, mask = scattered(where=where)
    probe = torch.randn(len(LENGTHS), 64, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    together, alone = bigru(pooling), bigru(pooling)
    pooled = together(ids, mask).pooler_output
    (pooled * probe).sum().backward()
    for line, real in enumerate(mask.bool()):
        single = alone(ids[line : line + 1, real]).pooler_output
        torch.testing.assert_close(pooled[line], single[0], atol=1e-9, rtol=1e-9)
        (single * probe[line]).sum().backward()
    for (name, parameter), other in zip(together.named_parameters(), alone.parameters(), strict=True):
        assert parameter.grad.abs().max() > 0, name
        torch.testing.assert_close(parameter.grad, other.grad, atol=1e-8, rtol=1e-8, msg=name)


@torch.no_grad()
@EVERY_POOLING
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_does_not_matter_in_single_precision_either(pooling, side):
    torch.manual_seed(0)
    model = BiGRUForSequenceClassification(BiGRUConfig(vocab_size=99, pooling=pooling)).eval()
    ids, mask = scattered(where=side)
    logits = model(ids, mask).logits
    for line, real in enumerate(mask.bool()):
        torch.testing.assert_close(logits[line], model(ids[line : line + 1, real]).logits[0], atol=1e-6, rtol=0)


@EVERY_POOLING
@pytest.mark.parametrize("lengths", [(3, 0, 40), (0, 0)])
def test_texts_without_tokens_have_states_of_zero(pooling, lengths):
    model = bigru(pooling, BiGRUForSequenceClassification, dtype=torch.float32)
    ids, mask = scattered(lengths, 44)
    empty = torch.tensor(lengths) == 0
    base = model.model(ids, mask)
    assert not base.last_hidden_state[empty].any() and not base.pooler_output[empty].any()
    logits = model(ids, mask).logits
    assert torch.equal(logits[empty], model.classifier.bias.expand(int(empty.sum()), -1))
    logits.square().sum().backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert len(gradients) >= 2 and all(gradient.isfinite().all() for gradient in gradients)


@EVERY_POOLING
@pytest.mark.parametrize("dtype", [torch.long, torch.float])
def test_a_sequence_of_no_columns(pooling, dtype):
    """A tokenizer makes this of a text without words, and float is what it makes of no number at all."""
    model = bigru(pooling, BiGRUForSequenceClassification, dtype=torch.float32)
    result = model(torch.zeros(2, 0, dtype=dtype), torch.zeros(2, 0, dtype=dtype), output_hidden_states=True)
    assert torch.equal(result.logits, model.classifier.bias.expand(2, -1))
    assert [tuple(states.shape) for states in result.hidden_states] == [(2, 0, 20), (2, 0, 64), (2, 0, 64)]
    assert model.train()(torch.zeros(2, 0, dtype=dtype)).logits.shape == (2, 2)


@torch.no_grad()
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_length_of_a_chunk_changes_nothing(monkeypatch, chunk):
    ids, mask = scattered(where="holes")
    expected = bigru()(ids, mask).last_hidden_state
    monkeypatch.setattr(modeling_bigru, "CHUNK", chunk)
    torch.testing.assert_close(bigru()(ids, mask).last_hidden_state, expected, atol=1e-12, rtol=1e-12)


def test_padding_costs_less_than_a_chunk_per_text():
    """This is what makes it as fast as packed sequences, whose backward pass is slow."""
    mask = scattered(LENGTHS + (0,), 400, "left")[1].bool()
    orders = reading_orders(mask)
    for order in orders:
        assert order.rows == [5, 2, 1] + [0] * 10
        assert sum(order.rows) * modeling_bigru.CHUNK < mask.sum() + len(mask) * modeling_bigru.CHUNK
        assert torch.equal(order.positions[order.places], torch.arange(mask.numel()))
    longest = torch.arange(400)[mask[0]]
    assert torch.equal(orders[0].positions[:70], longest) and torch.equal(orders[1].positions[:70], longest.flip(0))


def test_a_fading_gradient_skips_the_numbers_below_the_normal_range(monkeypatch):
    """They make a CPU slow. What is left of the gradient is that in double precision."""

    def gradient(dtype, change):
        handed_on = []
        monkeypatch.setattr(
            modeling_bigru, "without_traces", lambda each: handed_on.append(change(each)) or handed_on[-1]
        )
        torch.manual_seed(0)
        model = BiGRUModel(BiGRUConfig(vocab_size=9)).to(dtype)
        embedded = torch.randn(1, 400, 50).to(dtype).requires_grad_()
        model(inputs_embeds=embedded).pooler_output.sum().backward()
        sizes = torch.stack(handed_on).abs()
        assert len(handed_on) == 2 * 12 and (sizes > 0).any()
        return embedded.grad, ((sizes > 0) & (sizes < torch.finfo(torch.float32).tiny)).any()

    shortened = modeling_bigru.without_traces
    single, slow = gradient(torch.float32, shortened)
    double, _ = gradient(torch.float64, lambda each: each)
    assert not slow and gradient(torch.float32, lambda each: each)[1]
    torch.testing.assert_close(single.double(), double, atol=1e-7, rtol=1e-4)


def test_masks_of_another_shape_are_named():
    ids = torch.ones(2, 5, dtype=torch.long)
    for shape in ((2, 4), (2, 1, 5, 5)):
        with pytest.raises(ValueError, match=r"attention_mask is of shape \(2, .*\); allowed: \(2, 5\)"):
            bigru()(ids, torch.ones(shape))


# ---- the rest of the model -----------------------------------------------------------------------------------------


@EVERY_POOLING
def test_half_precision(pooling):
    model = bigru(pooling, BiGRUForSequenceClassification, dtype=torch.float32)
    ids, mask = scattered((20, 0, 40), 41, "holes")
    with torch.no_grad():
        full = model(ids, mask).logits
    half = model.to(torch.bfloat16)(ids, mask, labels=torch.tensor([0, 1, 0]))
    assert half.logits.dtype == torch.bfloat16
    torch.testing.assert_close(half.logits.float(), full, atol=0.1 * full.std().item() + 0.05, rtol=0.1)
    half.loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_compiling_changes_nothing_although_the_graph_breaks():
    model, (ids, mask) = bigru("attention"), scattered(where="holes")
    compiled = torch.compile(model, backend="aot_eager")(ids, mask).pooler_output
    torch.testing.assert_close(compiled, model(ids, mask).pooler_output, atol=1e-9, rtol=1e-9)


def test_spatial_dropout_drops_whole_channels():
    torch.manual_seed(0)
    model = bigru(dtype=torch.float32, spatial_dropout=0.25).train()
    embedded = model(torch.randint(1, 99, (60, 30)), output_hidden_states=True).hidden_states[0]
    dropped = (embedded == 0).float().mean(dim=1)
    assert set(dropped.unique().tolist()) == {0.0, 1.0}
    assert abs(dropped.mean() - 0.25) < 0.05 and dropped.std(dim=0).min() > 0
    assert (model.eval()(torch.ones(2, 3, dtype=torch.long), output_hidden_states=True).hidden_states[0] != 0).all()


def test_dropout_between_layers_and_before_the_classifier():
    torch.manual_seed(0)
    ids = torch.ones(1, 3, dtype=torch.long)
    for name, differs in (("hidden_dropout_prob", 2), ("classifier_dropout", 2), ("spatial_dropout", 2), (None, 1)):
        model = bigru("last", BiGRUForSequenceClassification, **({name: 0.5} if name else {})).train()
        assert len({tuple(model(ids).logits[0].tolist()) for _ in range(9)}) >= differs
    one_layer = bigru(num_hidden_layers=1, hidden_dropout_prob=0.5).train()
    assert torch.equal(one_layer(ids)[0], one_layer(ids)[0])


def test_the_published_net_is_the_default():
    with torch.device("meta"):
        model = BiGRUForSequenceClassification(BiGRUConfig(num_labels=1))
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert shapes["model.embed_tokens.weight"] == (40_000, 50)  # padding and the unknown word included
    assert shapes["classifier.weight"] == (1, 300) and shapes["model.layers.0.backwards.weight_hh_l0"] == (450, 150)
    # two biases for each gate, as in Keras with reset_after; with one it would be 2 181 201
    assert sum(parameter.numel() for parameter in model.parameters()) == 2_182_101
    assert model.config.spatial_dropout == 0.25 and model.config.pooling == "last"


def test_initial_weights_are_those_of_keras(tmp_path):
    """The same whether the model is built or its parameters are missing in a checkpoint."""
    torch.manual_seed(0)
    config = BiGRUConfig(vocab_size=500, num_hidden_layers=2, pooling="attention", num_labels=3)
    built = BiGRUForSequenceClassification(config)
    missing = BiGRUForSequenceClassification.from_pretrained(None, config=config, state_dict={})
    for model in (built, missing):
        weights = dict(model.named_parameters())
        embedding = weights.pop("model.embed_tokens.weight")
        assert not embedding[0].any() and 0.049 < embedding.abs().max() <= 0.05
        for name, weight in weights.items():
            if "bias" in name:
                assert not weight.any(), name
            elif "weight_hh" in name:
                torch.testing.assert_close(weight.T @ weight, torch.eye(150), atol=1e-5, rtol=0)
            else:
                limit = (6 / sum(weight.shape)) ** 0.5
                assert 0.95 * limit < weight.abs().max() <= limit, name
    assert not torch.equal(built.classifier.weight, missing.classifier.weight)
    assert AutoModel.from_config(config, dtype=torch.bfloat16).pooler.query.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("vocab_size", 0, "1 or more"),
        ("embedding_size", 0, "1 or more"),
        ("hidden_size", -2, "1 or more"),
        ("num_hidden_layers", 0, "1 or more"),
        ("initializer_range", -0.1, "0 or more"),
        ("initializer_range", float("nan"), "0 or more and finite"),
        ("num_labels", True, "a whole number"),
        ("spatial_dropout", 1.0, "less than 1"),
        ("hidden_dropout_prob", -0.5, "0 or more"),
        ("classifier_dropout", 1.5, "less than 1"),
        ("pad_token_id", 99, "0 to 98"),
        ("pooling", "first", "attention"),
        ("hidden_size", "32", "int"),
    ],
)
def test_wrong_values_are_named(field, value, allowed, tmp_path):
    with pytest.raises((ValueError, StrictDataclassError)) as error:
        tiny_config("bigru", **{field: value})
    assert all(part in str(error.value) for part in (field, str(value), allowed))
    tiny_config("bigru").save_pretrained(tmp_path)
    with pytest.raises((ValueError, StrictDataclassError), match=field):
        BiGRUConfig.from_pretrained(tmp_path, **{field: value})


@pytest.mark.hunt
@given(
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)),
    pooling=st.sampled_from(POOLINGS),
    num_labels=st.integers(1, 3),
    mask=st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=4), min_size=1, max_size=4),
)
def test_any_configuration_survives_its_dictionary_and_reads_any_mask(sizes, pooling, num_labels, mask):
    names = ("embedding_size", "hidden_size", "num_hidden_layers")
    config = BiGRUConfig(vocab_size=9, pooling=pooling, num_labels=num_labels, **dict(zip(names, sizes, strict=True)))
    again = BiGRUConfig.from_dict(config.to_dict())
    assert again.to_dict() == config.to_dict()
    model = BiGRUForSequenceClassification(again)
    ids = torch.arange(4 * len(mask)).view(-1, 4) % 9
    result = model.eval()(ids, torch.tensor(mask))
    assert result.logits.shape == (len(mask), num_labels) and result.logits.isfinite().all()
