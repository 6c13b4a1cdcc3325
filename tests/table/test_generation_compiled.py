# Copyright 2026 The hf_variants authors. MIT licence.
"""Decoders that `generate` compiles, which it does where a cache has a fixed length, and that are exported as graphs.

No kernels are generated here: that the graphs are whole and right is what is looked at.
"""

import copy

import pytest
import torch
from transformers import CompileConfig, GenerationConfig
from transformers.cache_utils import StaticCache
from transformers.exporters.exporter_dynamo import DynamoConfig, DynamoExporter
from transformers.exporters.utils import decompose_for_generation, get_leaf_tensors

from tests.helpers.decoders import generate, left_padding_mask, named_decoder, random_ids
from tests.table.test_generation import WITH_LEVELS, WITHOUT_LEVELS, assert_alike


@pytest.fixture
def compiled():
    """Options that make `generate` compile, and the graphs, one more with each compilation."""
    torch.compiler.reset()
    graphs = []

    def keep(graph, inputs):  # a function: generate copies its options, and an object would be counted in the copy
        graphs.append(graph)
        return graph.forward

    config = CompileConfig(fullgraph=True, dynamic=False, backend=keep, mode=None)
    config._compile_all_devices = True  # a CPU as well
    yield {"cache_implementation": "static", "compile_config": config}, graphs
    torch.compiler.reset()


@WITHOUT_LEVELS
def test_one_graph_writes_all_tokens_of_all_prompts(row, name, compiled):
    model, (options, graphs) = named_decoder(row, name), compiled
    # a class may leave the promise to its instances; where it isn't made, a graph may break, but not change a token
    options["compile_config"].fullgraph = model._can_compile_fullgraph
    counts = []
    for seed, new_tokens in ((1, 6), (2, 6), (3, 4)):  # a shorter text takes the longer one's cache
        ids, mask = random_ids(model, 3, 9, seed=seed), left_padding_mask((0, 2, 5), 9)
        expected = generate(model, ids, attention_mask=mask, max_new_tokens=new_tokens)
        actual = generate(model, ids, attention_mask=mask, max_new_tokens=new_tokens, **options)
        assert isinstance(actual.past_key_values, StaticCache)
        assert_alike(actual, expected, 9)
        counts.append(len(graphs))
    assert counts[0] > 0, "nothing was compiled"
    assert counts[0] == counts[-1], "a prompt of the same shape was compiled again"


@WITHOUT_LEVELS
def test_a_compiled_model_tells_everything_it_is_asked(row, name, compiled):
    model, (options, graphs) = named_decoder(row, name, attn_implementation="eager"), compiled
    options["compile_config"].fullgraph = False  # what records the outputs is no part of a graph
    asked = {f"output_{what}": True for what in ("scores", "attentions", "hidden_states")}
    ids = random_ids(model, 2, 9)
    actual = generate(model, ids, max_new_tokens=4, **asked, **options)
    expected = generate(model, ids, max_new_tokens=4, **asked)
    assert graphs, "nothing was compiled"
    assert_alike(actual, expected, 9)
    for step in range(4):
        torch.testing.assert_close(actual.hidden_states[step], expected.hidden_states[step], atol=1e-9, rtol=1e-9)
        for ours, theirs in zip(actual.attentions[step], expected.attentions[step], strict=True):
            seen = theirs.shape[-1]  # the rest of the fixed length is empty
            torch.testing.assert_close(ours[..., :seen], theirs, atol=1e-9, rtol=1e-9)
            assert ours.shape[-1] == 12 and not ours[..., seen:].any()


@WITH_LEVELS
def test_levels_do_not_claim_one_graph_or_other_attention(row, name):
    model = named_decoder(row, name)
    assert not model._can_compile_fullgraph, "how far a level has grown is known at run time only"
    assert not model._supports_attention_backend, "coarse levels have masks of their own"


@WITHOUT_LEVELS
@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_prompt_and_next_token_are_exported_as_graphs(row, name, cache):
    model = named_decoder(row, name)
    prompt = {"input_ids": random_ids(model, 2, 9), "attention_mask": left_padding_mask((0, 3), 9)}
    settings = GenerationConfig(cache_implementation=cache if cache == "static" else None, max_new_tokens=4)
    stages = decompose_for_generation(model, prompt, generation_config=settings)
    assert len(stages) == 2
    for stage, inputs in stages.values():
        inputs = {key: value for key, value in inputs.items() if key not in ("use_cache", "return_dict")}  # settings
        expected = get_leaf_tensors(stage(**copy.deepcopy(inputs)))  # a cache among them, which a pass changes
        exported = DynamoExporter().export(stage, copy.deepcopy(inputs), config=DynamoConfig(dynamic=False))
        actual = get_leaf_tensors(exported.program.module()(**copy.deepcopy(inputs)))
        torch.testing.assert_close(actual, expected, atol=1e-12, rtol=1e-12)


@WITHOUT_LEVELS
def test_a_pass_is_exported_as_a_graph(row, name):
    model, mask = named_decoder(row, name), left_padding_mask((0, 3), 9)
    ids, others = (random_ids(model, 2, 9, seed=seed) for seed in (1, 2))
    fixed = {"attention_mask": mask, "use_cache": False}
    graph = torch.export.export(model, (), {"input_ids": ids, **fixed}).module()
    expected = model(others, **fixed).logits
    torch.testing.assert_close(graph(input_ids=others, **fixed).logits, expected, atol=1e-12, rtol=1e-12)
