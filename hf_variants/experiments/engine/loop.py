# Copyright 2026 The hf_variants authors. MIT licence.
"""The training loop: Accelerate's engine, our order of things.

- data, masks and learning rate are functions of the step; what is saved is weights, optimizer, random state, counters
- the loss is a mean over predicted tokens of the whole global batch, whatever the micro-batches and processes
- gradients are clipped before the step, and the optimizer holds exactly the parameters that require gradients
- a run killed at any moment goes on from its last checkpoint as if nothing had happened: same weights, same records
- asked to stop (SIGTERM, SIGINT) it finishes its step, writes a checkpoint and raises StoppedError, on all processes
"""

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from ... import growth
from ..checking import DivergedError, InputError, StoppedError
from ..machine.checkpoints import (
    load_optimizer,
    load_random_state,
    load_weights,
    newest_checkpoint,
    prune_checkpoints,
    random_state,
    read_state,
    save_checkpoint,
    written_checkpoints,
)
from ..machine.processes import end_all, told, write_together
from ..machine.sharding import spread_state, whole_state
from ..machine.signals import StopSignals
from ..machine.spread import Spread
from ..models.costs import count_parameters
from ..objectives.evaluations import Evaluation, evaluate_split
from ..recipes.sections import TrainingArguments
from .best import BestModel
from .growing import Growing, GrowthState
from .optimizer import build_optimizer, check_optimizer, layer_gradient_norms, muon_rate, set_rate
from .record import CHECKPOINTS, MetricsFile
from .schedule import NEVER, Phase, learning_rate
from .steps import StepDataset, step_loader

INTERRUPTED = 1000  # what a process that got SIGINT adds to the count of those asked to stop


@dataclass
class Progress:
    """Where a run stands; saved with every checkpoint."""

    phase: int = 0
    step: int = 0  # optimizer steps along this path: trunk, or trunk and branch
    updates: int = 0  # optimizer steps ever done, branches included
    seconds: float = 0.0  # training time along this path, evaluations apart
    loss_sum: float = 0.0  # since the last train record
    loss_steps: int = 0
    growth: GrowthState = field(default_factory=GrowthState)
    best: float | None = None  # on validation, where there is early stopping
    best_step: int = 0
    bad: int = 0  # evaluations in a row that brought no improvement

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Progress":
        """What `asdict` made of it for a checkpoint."""
        return cls(**values | {"growth": GrowthState(**values["growth"])})


class Loop:
    """Runs the phases of one run from wherever `folder` says it stands.

    `snapshot(model, step)` is called on every process; `model` is None where this one doesn't have it whole.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: PreTrainedModel,
        dataset: StepDataset,
        evaluations: dict[str, Evaluation],
        arguments: TrainingArguments,
        phases: list[Phase],
        folder: Path,
        snapshot: Callable[[PreTrainedModel | None, int], None] | None = None,
        growing: Growing | None = None,
        spread: Spread | None = None,
    ) -> None:
        self.accelerator, self.arguments, self.phases, self.folder = accelerator, arguments, phases, folder
        self.dataset, self.evaluations, self.snapshot = dataset, evaluations, snapshot
        self.growing, self.spread = growing or Growing(), spread or Spread(accelerator)
        self.progress, self.signals, self.asked_to_stop = Progress(), StopSignals(), 0
        self.saved = 0  # updates of the newest checkpoint of this process's life
        self._install(model)
        self.metrics = MetricsFile(folder / "metrics.jsonl", accelerator.is_main_process)
        self.checkpoints = folder / CHECKPOINTS
        self.best = BestModel(arguments.early_stopping, dataset.objective, self.checkpoints)

    def _install(self, model: PreTrainedModel) -> None:
        """Trains this model from here on, with a new optimizer. It must be whole; `plain_model` may not be."""
        self.model = self.optimizer = None  # DDP's wrapper hooks into the parameters for as long as it lives
        self.accelerator.free_memory()
        self.plain_model = model.train()
        self.flops_per_token = self.growing.flops_per_token(model, self.dataset.order.typical_length)
        self.spread.place(model)
        self.model, self.optimizer = self.spread.prepare(model, build_optimizer(model, self.arguments))
        self.parameters = list(self.model.parameters())
        self._clip, self._updater = self.spread.stepping(self.optimizer)

    def _whole_model(self, everywhere: bool = False) -> PreTrainedModel | None:
        """The model with whole parameters, on the main process or on all; every process must call this."""
        return self.spread.whole_model(self.plain_model, everywhere)

    # ---- the run -----------------------------------------------------------------------------------------------

    def run(self) -> Progress:
        """Trains to the end of the last phase. Goes on from the newest checkpoint where there is one."""
        self._resume()
        self.model.train()
        if self.progress.step == 0 and self.growing.is_due(self.progress.growth, 0):
            self._grow(self.phases[0])
        with self._bar() as self.bar, self.signals:
            while self.progress.phase < len(self.phases):
                self._run_phase(self.phases[self.progress.phase])
            self.asked_to_stop = sum(gather_object([self._asked()]))
            if self.asked_to_stop:  # while the last evaluation ran: no step comes to notice it
                self._stop()
        check_optimizer(self.plain_model, self.optimizer)
        self.plain_model = self._whole_model(everywhere=True)
        self.growing.finish(self.plain_model)
        return self.progress

    def _run_phase(self, phase: Phase) -> None:
        if phase.until_seconds is None:
            self._begin_branch(phase, self.progress.step == phase.start)
        for batch_parts in self._steps(phase):
            if self.best.is_over(self.progress):  # asked before a step: the run may have been killed after the last
                break
            self._step(phase, batch_parts)
            self._after_step(phase)
            if self.asked_to_stop:
                self._stop()
            if phase.until_seconds is not None and self.progress.seconds >= phase.until_seconds:
                break
        if phase.kind == "decay":
            self._finish_branch(phase)
        self.progress.phase += 1
        if phase.kind == "decay" and self.progress.phase < len(self.phases):
            self._return_to_trunk()

    def _steps(self, phase: Phase) -> Iterator[list[dict[str, torch.Tensor]]]:
        """The micro-batches of each remaining step of the phase."""
        parts = self.dataset.parts
        last = min(phase.end, NEVER // parts // 2)
        loader = step_loader(self.dataset, self.progress.step, last, self.accelerator.device.type == "cuda")
        held: list[dict[str, torch.Tensor]] = []
        for micro in loader:
            held.append(micro)
            if len(held) == parts:
                yield held
                held = []

    def _step(self, phase: Phase, parts: list[dict[str, torch.Tensor]]) -> None:
        """One optimizer step over all micro-batches."""
        began, p = time.perf_counter(), self.progress
        rate = learning_rate(self.arguments, phase, p.step, p.seconds)
        rate *= self.growing.before_step(self.plain_model, p.growth, p.step)
        set_rate(self.optimizer, rate, self.arguments)
        total = torch.zeros((), device=self.accelerator.device)
        for batch in parts:
            total += self._micro_step(batch)
        both = torch.stack([total, torch.tensor(float(self._asked())).to(total)])
        loss, asked = self.accelerator.reduce(both, "sum").tolist()
        self.asked_to_stop = int(asked)  # the same on all processes, so that they stop at the same step
        p.loss_sum += self._finite(loss, "loss")
        p.loss_steps += 1
        p.step += 1
        p.updates += 1
        p.seconds += time.perf_counter() - began
        if phase.until_seconds is not None:
            p.seconds = self._agreed(p.seconds)
        self.rate = rate

    def _asked(self) -> int:
        """What this process adds to the count of those asked to stop."""
        received = self.signals.received
        return (INTERRUPTED if received == signal.SIGINT else 1) if received else 0

    def _agreed(self, seconds: float) -> float:
        """One clock for all processes, so that they end a phase at the same step and at one learning rate."""
        if self.accelerator.num_processes == 1:
            return seconds
        mine = torch.tensor(seconds, dtype=torch.float64, device=self.accelerator.device)
        return float(self.accelerator.reduce(mine, "mean"))

    def _micro_step(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Forward and backward of one micro-batch, the update after the last. Returns its share of the mean loss."""
        with self.accelerator.accumulate(self.model):
            batch = {n: t.to(self.accelerator.device, non_blocking=True) for n, t in batch.items()}
            weight = batch.pop("weight")
            with self.accelerator.autocast():
                loss = self.dataset.objective.losses(self.model, batch)["loss"].sum() / weight
            # Accelerate divides by the micro-batches and DDP by the processes; `weight` already counts them all
            self.accelerator.backward(loss * self.dataset.parts * self.dataset.world)
            if self.accelerator.sync_gradients:
                self._update()
        return loss.detach()

    def _update(self) -> None:
        """Clips the gradients and updates the weights. Raises DivergedError before a bad gradient reaches them."""
        limit = self.arguments.max_grad_norm or math.inf  # a loss may be finite where its gradient isn't
        self.grad_norm = self._clip(self.parameters, limit)
        if self.accelerator.scaler is None:  # fp16's scaler expects infinite gradients, and skips the step
            self._finite(self.grad_norm, "gradient norm")
        if self.arguments.log_layer_gradients and self._logs_next():
            clipped = max(1.0, float(self.grad_norm) / limit)
            self.layer_norms = layer_gradient_norms(self.plain_model, clipped)
        self._updater.step()
        self._updater.zero_grad()

    def _finite(self, value: torch.Tensor | float, what: str) -> float:
        """The value as a number; raises DivergedError before a bad one reaches weights or a checkpoint."""
        number = float(value)
        if not math.isfinite(number):
            raise DivergedError(
                f"training: the {what} is {number} at step {self.progress.step}; the run has diverged "
                f"(lower training.learning_rate). Checkpoints before it are kept in {self.checkpoints}"
            )
        return number

    # ---- what happens around steps -----------------------------------------------------------------------------

    def _logs_next(self) -> bool:
        return (self.progress.step + 1) % self.arguments.log_every == 0

    def _after_step(self, phase: Phase) -> None:
        a, p = self.arguments, self.progress
        self.bar.update(1)
        self.growing.saw_step(p.growth, self.flops_per_token, self.dataset.order, p.step)
        if p.step % a.log_every == 0 or p.step == phase.end:
            self._record_training(phase)
        # linear and cosine schedules are one phase, evaluated on its way as a trunk is
        on_trunk = phase.kind == "trunk" or (phase.start == 0 and p.step < phase.end)
        if on_trunk and p.step % a.eval_every == 0:
            values = self._record_evaluation(replace(phase, kind="trunk", budget=None), "validation")
            self._note_best(values)
            self.growing.saw_loss(p.growth, values["loss"])
        # a stage that begins where a budget ends has no step in it: the model is measured as it was trained
        goes_on = phase.kind == "trunk" or p.step < phase.end
        if goes_on and self.growing.is_due(p.growth, p.step):
            self._grow(phase)
        if a.snapshot_every and on_trunk and p.step % a.snapshot_every == 0 and self.snapshot:
            self.snapshot(self._whole_model(), p.step)
        if a.checkpoint_every and p.updates % a.checkpoint_every == 0:
            self._save_progress()

    def _record_training(self, phase: Phase) -> None:
        p = self.progress
        mean = p.loss_sum / max(1, p.loss_steps)
        values = {"loss": mean, "learning_rate": self.rate, "grad_norm": float(self.grad_norm)}  # before clipping
        if self.arguments.optimizer == "muon":
            values["muon_learning_rate"] = muon_rate(self.arguments, self.rate)
        tokens_per_second = self.dataset.order.tokens(p.step) / max(1e-9, p.seconds)
        is_logged = self.arguments.log_layer_gradients and p.step % self.arguments.log_every == 0
        if is_logged and all(map(math.isfinite, self.layer_norms)):  # not in a step that fp16's scaler skips
            values["layer_grad_norms"] = self.layer_norms
        self._write("train", phase, values, {"tokens_per_second": tokens_per_second})
        self.bar.set_postfix(loss=f"{mean:.3f}", tokens_per_s=f"{tokens_per_second:.0f}", refresh=False)
        p.loss_sum, p.loss_steps = 0.0, 0

    def _record_evaluation(self, phase: Phase, split: str) -> dict[str, float]:
        values = self._evaluate(split)
        self._write(split, phase, values, {})
        self._say(f"step {self.progress.step:>6} {phase.kind:<5} {split:<10} " + _format(values))
        return values

    def _evaluate(self, split: str) -> dict[str, float]:
        values = evaluate_split(self.model, self.evaluations[split], self.accelerator)
        self.spread.evaluated(self.plain_model)
        # Those of one process for all: machines may round differently, and decide differently to grow or to stop.
        return told(values)

    def _write(self, event: str, phase: Phase, values: dict[str, Any], clock: dict[str, float]) -> None:
        p = self.progress
        place = {"event": event, "phase": phase.kind, "budget": phase.budget, "step": p.step}
        place |= {"tokens": self.dataset.order.tokens(p.step)}
        place |= self.best.about(p) | self.growing.about(p.growth)
        self.metrics.append(place | values | clock | {"seconds": p.seconds})
        if self.arguments.trackers:
            numbers = {f"{event}/{n}": v for n, v in values.items() if isinstance(v, (int, float))}
            self.accelerator.log(numbers, step=p.updates)

    # ---- growth ------------------------------------------------------------------------------------------------

    def _grow(self, phase: Phase) -> None:
        """Takes the model to its next stage, and records what that did to it."""
        p, flops = self.progress, self.flops_per_token
        measures = not self.growing.stages[p.growth.stage].keeps_function
        before = self._evaluate("validation")["loss"] if measures else None
        moments = whole_state(growth.optimizer_state_by_name(self.plain_model, self.optimizer))
        model = self._whole_model(everywhere=True)
        grown = self.growing.grow(model, p.growth, p.step)
        self._install(model)
        kept = self.growing.stages[p.growth.stage - 1].moments
        growth.load_optimizer_state_by_name(self.plain_model, self.optimizer, moments, grown.sources, kept)
        spread_state(self.optimizer)
        after = self._evaluate("validation")["loss"] if measures else None
        values = {"stage": p.growth.stage, "receipt": grown.receipt}
        values |= {"loss_before": before, "loss_after": after} if measures else {}
        counts = count_parameters(self.plain_model)
        values |= {"flops_per_token": [flops, self.flops_per_token]} | counts
        self._write("growth", phase, values, {})
        trained = f"{counts['trainable_parameters']:,} of {counts['parameters']:,} parameters train"
        loss = f", validation loss {before:.4f} -> {after:.4f}" if measures else ""
        self._say(f"step {p.step:>6} {phase.kind:<5} stage {p.growth.stage}: {trained}{loss}")

    # ---- branches ----------------------------------------------------------------------------------------------

    def _branch_point(self, phase: int) -> Path:
        # one per branch: the newest checkpoint may lie in an earlier branch than the newest branch point
        return self.checkpoints / f"branch_point-{phase}"

    def _begin_branch(self, phase: Phase, at_start: bool) -> None:
        is_last = self.progress.phase == len(self.phases) - 1
        if phase.kind == "decay" and at_start and not is_last:
            self._save(self._branch_point(self.progress.phase))

    def _note_best(self, values: dict[str, float]) -> None:
        if self.best.saw(self.progress, values):
            model = self._whole_model()
            path = self.best.path(self.progress)
            write_together(self.accelerator, path, lambda: self.best.save(self.progress, model))

    def _finish_branch(self, phase: Phase) -> None:
        if self.best.patience is not None:
            if self.progress.step == phase.end:  # not reached where training was stopped
                self._note_best(self._record_evaluation(replace(phase, kind="trunk", budget=None), "validation"))
            model = self._whole_model(everywhere=True)
            self.best.load(self.progress, model)
            if not self.spread.is_whole:
                self._install(model)
        for split in self.evaluations:
            self._record_evaluation(phase, split)

    def _return_to_trunk(self) -> None:
        """Weights, optimizer, random state and counters as they were before the branch; `updates` goes on counting."""
        phase, updates = self.progress.phase, self.progress.updates
        self._restore(self._branch_point(phase - 1))
        self.progress.phase, self.progress.updates = phase, updates

    # ---- checkpoints -------------------------------------------------------------------------------------------

    def _save_progress(self) -> None:
        """Writes the checkpoint of this update, and drops old ones."""
        self._save(self._checkpoint())
        self.saved = self.progress.updates
        if self.accelerator.is_main_process:
            prune_checkpoints(self.checkpoints, self.arguments.keep_checkpoints)
            self.best.prune(self.progress)

    def _checkpoint(self) -> Path:
        return self.checkpoints / f"update-{self.progress.updates:09d}"

    def _save(self, folder: Path) -> None:
        state = {"progress": asdict(self.progress), "metrics_bytes": self.metrics.size()}
        state["grad_scaler"] = self.accelerator.scaler.state_dict() if self.accelerator.scaler else None
        state["stream"] = self.dataset.order.position(self.progress.step)
        model = self._whole_model()
        optimizer = self.optimizer.state_dict()
        optimizer |= {"state": whole_state(optimizer["state"], self.accelerator.is_main_process)}
        randoms = gather_object([random_state()])
        self.metrics.sync()
        write_together(self.accelerator, folder, lambda: save_checkpoint(folder, model, optimizer, state, randoms))

    def _stop(self) -> NoReturn:
        """Ends the run where it stands; it goes on from here later."""
        if self.saved != self.progress.updates:
            self._save_progress()
        number = signal.SIGINT if self.asked_to_stop >= INTERRUPTED else signal.SIGTERM
        where = f"stopped by {number.name} at step {self.progress.step}: {self._checkpoint()} is written"
        error = StoppedError(f"{where}; run the same command again to go on from it", number)
        end_all(self.accelerator, error)

    def _restore(self, folder: Path) -> dict[str, Any]:
        state = read_state(folder)
        progress = Progress.from_json(state["progress"])
        if progress.growth.stage != self.progress.growth.stage or not self.spread.is_whole:
            self._install(self._load_whole(folder, progress.growth.stage))
        else:
            load_weights(folder, self.plain_model)
        load_optimizer(folder, self.optimizer)
        spread_state(self.optimizer)
        load_random_state(folder, self.accelerator.process_index)
        self.progress = progress
        if state.get("stream") is not None:  # without it batches are the same, but a stream is read anew
            self.dataset.order.go_to(state["stream"])
        self.growing.before_step(self.plain_model, self.progress.growth, self.progress.step - 1)
        if self.accelerator.scaler and state["grad_scaler"]:
            self.accelerator.scaler.load_state_dict(state["grad_scaler"])
        return state

    def _load_whole(self, folder: Path, stage: int) -> PreTrainedModel:
        """A whole model of a growth stage, with a checkpoint's weights."""
        if stage != self.progress.growth.stage:
            model = self.growing.at(stage).to(self.accelerator.device)
        else:
            model = self._whole_model(everywhere=True)
        load_weights(folder, model)
        return model

    def _resume(self) -> None:
        newest = told(newest_checkpoint(self.checkpoints))
        for broken in written_checkpoints(self.checkpoints):
            if newest is None or broken > newest:
                self._say(f"{broken} is broken, and is passed over")
        if newest is None:
            self.metrics.truncate(0)
            return
        if not all(gather_object([newest.exists()])):
            raise InputError(f"{newest}: not all processes see it; the output folder must be on a shared file system")
        if told(self.metrics.size()) < read_state(newest)["metrics_bytes"]:
            raise InputError(
                f"{self.metrics.path}: is shorter than when {newest.name} was written; put the whole file back, or "
                f"delete {self.checkpoints} to begin again"
            )
        state = self._restore(newest)
        self.metrics.truncate(state["metrics_bytes"])
        self._say(f"resumed from {newest} at step {self.progress.step}")

    # ---- terminal ----------------------------------------------------------------------------------------------

    def _bar(self) -> tqdm:
        ends = [ph.end - ph.start for ph in self.phases]
        total = None if self.phases[-1].until_seconds is not None else sum(ends)
        quiet = not (self.accelerator.is_main_process and sys.stderr.isatty())
        return tqdm(total=total, initial=self.progress.updates, disable=quiet, unit="step", leave=False)

    def _say(self, line: str) -> None:
        if self.accelerator.is_main_process:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()


def _format(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in values.items() if "/" not in name)  # not of one label
