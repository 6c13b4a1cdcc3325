# Copyright 2026 The hf_variants authors. MIT licence.
"""The files of training/launch: Accelerate takes every line of them, and they start what their names say."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env

from hf_variants.experiments.engine.record import read_metrics
from hf_variants.experiments.files import read_json
from tests.helpers.places import ROOT
from tests.helpers.tiny import tiny_content

LAUNCH = ROOT / "training" / "launch"
FILES = sorted(path.name for path in LAUNCH.glob("*.yaml"))
SEVERAL = [name for name in FILES if name not in ("cpu.yaml", "one_gpu.yaml")]


def launch_arguments(name: str) -> argparse.Namespace:
    """What `accelerate launch --config_file` makes of a file."""
    given = launch_command_parser().parse_args(["--config_file", str(LAUNCH / name), "training/train.py"])
    return _validate_launch_command(given)[0]


@pytest.mark.parametrize("name", FILES)
def test_accelerate_takes_every_key(name):
    config = load_config_from_file(str(LAUNCH / name))  # raises where a key is unknown
    arguments = launch_arguments(name)
    for nested in yaml.safe_load((LAUNCH / name).read_text()).values():
        for key, value in nested.items() if isinstance(nested, dict) else ():
            assert getattr(arguments, key) == value, key
    assert arguments.mixed_precision == "no", "the recipe says which precision"
    assert arguments.num_processes == config.num_processes and arguments.num_machines == config.num_machines


@pytest.mark.parametrize("name", SEVERAL)
def test_several_processes_are_started(name):
    arguments = launch_arguments(name)
    environment = prepare_multi_gpu_env(arguments)
    assert arguments.multi_gpu != arguments.use_fsdp  # the launchers of several processes
    assert int(arguments.nproc_per_node) == 2
    assert environment.get("ACCELERATE_USE_FSDP") == ("true" if name == "fsdp2.yaml" else None)
    if name == "fsdp2.yaml":
        assert environment["FSDP_VERSION"] == "2"


# ---- for real, on the CPU ------------------------------------------------------------------------------------------

TORCHRUN = ["torch.distributed.run", "--nproc_per_node", "2"]
ACCELERATE = ["accelerate.commands.launch", "--config_file"]
LAUNCHERS = {
    "torchrun": [TORCHRUN],
    "cpu_ddp": [[*ACCELERATE, "training/launch/cpu_ddp.yaml"]],
    "fsdp2": [[*ACCELERATE, "training/launch/fsdp2.yaml"]],
    "two_nodes": [
        [*ACCELERATE, "training/launch/two_nodes.yaml", "--machine_rank", str(rank), "--num_processes", "2",
         "--main_process_ip", "127.0.0.1"] for rank in (0, 1)
    ],
}  # fmt: skip


def start(launcher: list[str], folder: Path, **training: int) -> subprocess.Popen:
    """A tiny run without dropout, in processes of its own."""
    quiet = {"overrides": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    settings = {"max_steps": 6, "budgets": [1.0], "warmup_steps": 1, "eval_every": 3, "log_every": 1} | training
    (folder / "recipe.yaml").write_text(yaml.safe_dump(tiny_content(folder, model=quiet, training=settings)))
    program = ["training/train.py", "--config", str(folder / "recipe.yaml"), "--output_dir", str(folder / "run")]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *(["-m", *launcher] if launcher else []), *program]
    with (folder / "log").open("a") as log:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_launcher_really_joins_two_processes(name, tmp_path):
    started = [start(launcher, tmp_path) for launcher in LAUNCHERS[name]]
    assert [process.wait() for process in started] == [0] * len(started), (tmp_path / "log").read_text()
    assert read_json(tmp_path / "run" / "record.json")["environment"]["processes"] == 2
    assert len(read_metrics(tmp_path / "run" / "metrics.jsonl")) == 6 + 1 + 2  # written once


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], TORCHRUN, ACCELERATE + ["training/launch/cpu_ddp.yaml"]])
def test_a_launcher_that_is_asked_to_stop_lets_its_processes_write_a_checkpoint(launcher, tmp_path):
    process = start(launcher, tmp_path, max_steps=100_000, checkpoint_every=0)
    while len(read_metrics(tmp_path / "run" / "metrics.jsonl")) < 3 and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    code, log = process.wait(), (tmp_path / "log").read_text()
    assert code == (143 if not launcher else 1), log
    [newest] = (tmp_path / "run" / "checkpoints").glob("update-*")
    assert f"{newest} is written" in log and log.count("error: stopped by SIGTERM") == 1
