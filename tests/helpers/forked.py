# Copyright 2026 The hf_variants authors. MIT licence.
"""Runs in processes of their own, forked from one that has imported everything: starting one costs almost nothing.

Nothing may train in the process that forks: threads do not survive a fork.
"""

import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_variants.experiments.recipes.programs import one_line_errors
from hf_variants.experiments.recipes.recipe import Recipe

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["hf_variants.experiments.engine.run", "transformers.models.gpt2.modeling_gpt2", __name__]
)

Prepare = Callable[..., None]  # called in the new process, with its arguments, before the run


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def train(recipe: Recipe, folder: Path, processes: int = 1, prepare: Prepare | None = None, *arguments: Any,
          **environment: str) -> list[int]:  # fmt: skip
    """Runs a recipe on CPU processes that Accelerate joins; returns how each ended (negative: by that signal)."""
    environment = environment | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    if processes > 1:
        environment |= {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    started = []
    for rank in range(processes):
        mine = environment | ({"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {})
        started.append(_CONTEXT.Process(target=_run, args=(recipe, folder, mine, prepare, arguments)))
        started[-1].start()
    for process in started:
        process.join()
    return [process.exitcode for process in started]


def _run(recipe: Recipe, folder: Path, environment: dict[str, str], prepare: Prepare | None, arguments: tuple) -> None:
    os.environ.update(environment)
    import torch

    from hf_variants.experiments.engine.run import run_recipe

    torch.set_num_threads(1)
    with open(f"{folder}-{environment.get('RANK', 0)}.log", "a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    if prepare is not None:
        prepare(*arguments)

    def main() -> None:
        run_recipe(recipe, folder)

    one_line_errors(main)()
