# Copyright 2026 The hf_variants authors. MIT licence.
"""Run one model folder in vLLM and write what it gives: `python in_vllm.py request.json`.

A process of its own per model: an engine takes a minute to start, keeps its memory, and can't be stopped for certain.
The request names the `folder`, the `prompts` (lists of ids), `new_tokens`, the model's `longest` sequence, whether to
compile (`compiled`), and the file `answers` that is written: the new tokens of each prompt or, where `new_tokens` is
0, the embeddings of its tokens.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from vllm import LLM, SamplingParams
from vllm.config import PoolerConfig


def generate(request: dict[str, Any], llm: LLM) -> list[torch.Tensor]:
    """Return the greedy continuation of each prompt, `(new,)`; all prompts are one batch."""
    prompts = [{"prompt_token_ids": prompt} for prompt in request["prompts"]]
    how = SamplingParams(temperature=0.0, max_tokens=request["new_tokens"], ignore_eos=True)
    return [torch.tensor(answer.outputs[0].token_ids) for answer in llm.generate(prompts, how)]


def embed(request: dict[str, Any], llm: LLM) -> list[torch.Tensor]:
    """Return the last hidden states of each prompt's tokens, `(seq, hidden)`; all prompts are one batch."""
    prompts = [{"prompt_token_ids": prompt} for prompt in request["prompts"]]
    return [answer.outputs.data.clone() for answer in llm.encode(prompts, pooling_task="token_embed")]


# The activation would normalise the states. Neither of the two others knows that a token sees those after it.
ENCODER = {
    "runner": "pooling",
    "pooler_config": PoolerConfig(task="token_embed", use_activation=False),
    "enable_prefix_caching": False,
    "enable_chunked_prefill": False,
}


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    engine = {
        "model": request["folder"],
        "trust_remote_code": True,
        "dtype": "float32",
        "max_model_len": request["longest"],
        "enforce_eager": not request["compiled"],
    }
    llm = LLM(**engine, **({} if request["new_tokens"] else ENCODER))
    answers = generate(request, llm) if request["new_tokens"] else embed(request, llm)
    torch.save(answers, request["answers"])  # while the engine runs: it now and then aborts as it ends


if __name__ == "__main__":  # vLLM starts processes that import this file
    main()
