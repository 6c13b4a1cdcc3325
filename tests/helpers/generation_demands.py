# Copyright 2026 The hf_variants authors. MIT licence.
"""Where the demands of transformers' generation and export tests are met, though their source is in no package.

`make conformance` runs the common model tests, which the source distribution has; it lacks `GenerationTesterMixin` and
`ExportTesterMixin`. Every test of theirs is either covered by tests of ours or has a reason why it can't apply, and
`tests/table/test_generation_demands.py` checks that the tests exist. With a checkout of transformers at hand the
originals run as well: `TRANSFORMERS_TESTS=transformers/tests make conformance`.
"""

GENERATION, COMPILED = "tests/table/test_generation.py", "tests/table/test_generation_compiled.py"
DECODERS, SHARED, MASKS = (
    "tests/table/test_decoder_checks.py",
    "tests/table/test_shared_checks.py",
    "tests/table/test_masks.py",
)
FORMATS = "tests/ecosystem/test_formats.py"

TELLS = f"{GENERATION}::test_generate_tells_everything_it_is_asked"
CACHED = f"{GENERATION}::test_a_cache_changes_nothing_in_any_configuration"
DRAFTS = f"{GENERATION}::test_drafts_change_nothing"
NO_DRAFTS = f"{GENERATION}::test_levels_refuse_drafts"
STATIC = f"{GENERATION}::test_a_static_cache_writes_the_same"
OTHER_CACHES = f"{GENERATION}::test_levels_refuse_other_caches"
ONE_GRAPH = f"{COMPILED}::test_one_graph_writes_all_tokens_of_all_prompts"
PACKED = f"{GENERATION}::test_documents_packed_into_a_row_are_rows"

# {test of transformers: tests of ours that demand the same}
COVERED: dict[str, tuple[str, ...]] = {
    "test_greedy_generate": (TELLS, CACHED),
    "test_greedy_generate_dict_outputs": (TELLS,),
    "test_greedy_generate_dict_outputs_use_cache": (TELLS,),
    "test_sample_generate": (TELLS, CACHED),
    "test_sample_generate_dict_output": (TELLS,),
    "test_beam_search_generate": (TELLS, CACHED),
    "test_beam_search_generate_dict_output": (TELLS,),
    "test_beam_search_generate_dict_outputs_use_cache": (TELLS,),
    "test_beam_sample_generate": (TELLS, CACHED),
    "test_beam_sample_generate_dict_output": (TELLS,),
    "test_generate_without_input_ids": (f"{GENERATION}::test_a_text_begins_with_the_first_token",),
    "test_assisted_decoding_matches_greedy_search": (DRAFTS, NO_DRAFTS),
    "test_assisted_decoding_sample": (DRAFTS, NO_DRAFTS),
    "test_prompt_lookup_decoding_matches_greedy_search": (DRAFTS, NO_DRAFTS),
    "test_prompt_lookup_decoding_stops_at_eos": (
        f"{GENERATION}::test_a_looked_up_end_token_ends_the_text",
        f"{GENERATION}::test_an_end_token_ends_a_row_alone",
    ),
    "test_left_padding_compatibility": (
        f"{DECODERS}::test_left_padding_needs_no_positions",
        f"{DECODERS}::test_left_padded_rows_go_on_as_alone",
    ),
    "test_past_key_values_format": (f"{GENERATION}::test_the_cache_is_one_of_transformers",),
    "test_generate_from_random_inputs_embeds": (f"{GENERATION}::test_embeddings_write_what_their_ids_write",),
    "test_generate_from_inputs_embeds": (f"{GENERATION}::test_embeddings_write_what_their_ids_write",),
    "test_generate_from_inputs_embeds_with_static_cache": (STATIC, OTHER_CACHES),
    "test_generate_continue_from_past_key_values": (
        f"{GENERATION}::test_generation_goes_on_where_it_ended",
        f"{DECODERS}::test_generation_goes_on_from_a_cache",
    ),
    "test_generate_continue_from_inputs_embeds": (f"{GENERATION}::test_embeddings_go_on_from_a_cache",),
    "test_recurrent_layers_mask_padding_on_continued_forward": (
        f"{GENERATION}::test_padding_before_a_later_turn_changes_nothing",
    ),
    "test_generate_with_static_cache": (STATIC, OTHER_CACHES),
    "test_generate_compile_model_forward_fullgraph": (
        ONE_GRAPH,
        f"{COMPILED}::test_levels_do_not_claim_one_graph_or_other_attention",
    ),
    "test_generate_compilation_all_outputs": (f"{COMPILED}::test_a_compiled_model_tells_everything_it_is_asked",),
    "test_static_cache_no_recompile_with_smaller_length": (ONE_GRAPH,),
    "test_generate_methods_with_logits_to_keep": (f"{GENERATION}::test_fewer_logits_are_the_same_logits",),
    "test_forward_with_logits_to_keep": (f"{GENERATION}::test_fewer_logits_are_the_same_logits",),
    "test_inherits_generation_mixin": (
        f"{GENERATION}::test_generation_mixin_is_a_direct_base_and_arguments_go_through",
    ),
    "test_prepare_inputs_for_generation_kwargs_forwards": (
        f"{GENERATION}::test_generation_mixin_is_a_direct_base_and_arguments_go_through",
    ),
    "test_eager_matches_sdpa_generate": (f"{GENERATION}::test_eager_and_sdpa_write_the_same",),
    "test_eager_padding_matches_padding_free_with_position_ids": (
        PACKED,
        f"{DECODERS}::test_packed_documents_are_apart",
    ),
    "test_sdpa_padding_matches_padding_free_with_position_ids": (
        PACKED,
        f"{DECODERS}::test_packed_documents_are_apart",
    ),
    "test_custom_4d_attention_mask": (
        f"{GENERATION}::test_a_mask_of_four_dimensions_lets_texts_share_a_beginning",
        f"{GENERATION}::test_levels_refuse_a_mask_of_four_dimensions",
        f"{MASKS}::test_a_ready_mask_is_that_of_the_tokens_or_refused",
    ),
    "test_generate_with_and_without_position_ids": (
        f"{GENERATION}::test_positions_that_are_given_are_those_that_are_counted",
    ),
    "test_torch_export": (f"{SHARED}::test_torch_export", f"{COMPILED}::test_a_pass_is_exported_as_a_graph"),
    "test_torch_export_generate": (f"{COMPILED}::test_prompt_and_next_token_are_exported_as_graphs",),
    "test_onnx_export": (f"{FORMATS}::test_onnx_graph_for_any_batch",),
}

FLASH = "needs a GPU and the package flash-attn, which are not on a machine that runs these tests"
NO_ONNX = "ONNX is promised of encoders and classifiers only, and of no decoder's cache"
EXECUTORCH = "nothing here claims ExecuTorch, whose package is not among ours"

# {test of transformers: why it can't apply}
INAPPLICABLE: dict[str, str] = {
    "test_model_parallel_beam_search": "needs several accelerators",
    "test_generate_with_quant_cache": (
        f"needs the package optimum-quanto; a conv_gpt with levels refuses such a cache: {OTHER_CACHES.split('::')[1]}"
    ),
    "test_generate_with_mtp": "no model here has layers that predict several tokens (`num_mtp_layers`)",
    "test_flash_attention_2_continue_generate_with_position_ids": FLASH,
    "test_onnx_export_generate": NO_ONNX,
    "test_executorch_export": EXECUTORCH,
    "test_executorch_export_generate": EXECUTORCH,
}
for version in (2, 3, 4):
    INAPPLICABLE[f"test_eager_matches_fa{version}_generate"] = FLASH
    for given in ("position_ids", "position_ids_and_fa_kwargs"):
        INAPPLICABLE[f"test_flash_attention_{version}_padding_matches_padding_free_with_{given}"] = FLASH

# Demands of ours that the two classes do not have.
BEYOND: tuple[str, ...] = (
    f"{GENERATION}::test_a_prompt_in_chunks_is_the_same_prompt",
    f"{GENERATION}::test_continuous_batching_writes_the_same_or_is_refused",
    f"{GENERATION}::test_custom_loops_stopping_and_processing_are_called",
)
