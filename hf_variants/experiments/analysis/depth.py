# Copyright 2026 The hf_variants authors. MIT licence.
"""What the layers of a trained encoder do: gate openings, lesions, and how its estimate forms layer by layer.

Residual and highway nets are asked the same questions, on the same masked validation blocks (arXiv 1612.07771,
1605.06431). A sublayer computes `y = C * x + T * F(x)`; a residual net has C = T = 1. The questions:

- where and what (`openings`): T, C and the size of the update relative to the stream, by position and token class;
- lesions (`lesion_study`): the loss without a sublayer, without a layer, with two neighbours swapped;
- iterative estimation (`estimation_curves`): how near each layer's stream is to the final one;
- when (`over_training`): the first two over a run's snapshots.
"""

import contextlib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ...auto import TABLE
from ...bert.configuration_minbert import MinBertConfig
from ...bert.modeling_minbert import MinBertOutput
from ..checking import InputError
from ..files import read_json
from ..models.costs import count_parameters
from ..objectives.base import IGNORED
from ..objectives.evaluations import FixedEvaluation
from ..objectives.masked_lm import MaskedLanguageModeling
from ..recipes.sections import ObjectiveArguments
from ..text.blocks import PackedBlocks
from ..text.corpora import Corpus
from ..text.tokenizer import tokenize_documents

QUANTITIES = ("transform", "carry", "update_ratio")
CLASSES = ("lower case", "upper case", "digit", "whitespace", "punctuation", "other", "special", "masked")
SNAPSHOT = "step-"  # a run's snapshots lie in folders step-00001000, …


# ---- models and questions ------------------------------------------------------------------------------------------


def check_folder(folder: Path) -> None:
    """Raises InputError unless `folder` holds a saved model of this family with at least one layer."""
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no saved model (config.json is missing)")
    family = [row.model_type for row in TABLE if issubclass(row.config_class, MinBertConfig)]
    kind = read_json(folder / "config.json").get("model_type")
    if kind not in family:
        raise InputError(f"{folder}: model_type is '{kind}'; allowed: {', '.join(family)}")
    with _one_line(folder):
        layers = AutoConfig.from_pretrained(folder, trust_remote_code=False).num_hidden_layers
    if layers < 1:
        raise InputError(f"{folder}: num_hidden_layers is {layers}; there is no layer to look at")


@contextlib.contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    """Turns what transformers raises about a folder into InputError."""
    try:
        yield
    except (OSError, ValueError, SafetensorError, StrictDataclassError) as error:
        raise InputError(f"{folder}: {str(error).strip().splitlines()[0]}") from None


def load_model(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The masked-token model and the tokenizer saved in `folder`, run with this package's own code.

    Raises InputError as `check_folder` does, and where weights or tokenizer are missing.
    """
    check_folder(folder)
    with _one_line(folder):
        model, loading = AutoModelForMaskedLM.from_pretrained(
            folder, trust_remote_code=False, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if loading["missing_keys"]:
        raise InputError(f"{folder}: no weights for {', '.join(sorted(loading['missing_keys'])[:3])}")
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


@dataclass
class Questions:
    """Masked blocks that every model with this tokenizer is asked, and the class of each token, `(blocks, seq)`."""

    evaluation: FixedEvaluation
    classes: np.ndarray

    def batches(self, device: torch.device) -> Iterator[dict[str, torch.Tensor]]:
        """`input_ids` and `labels`, `(batch, seq)` each, in order."""
        for start in range(0, self.evaluation.size, self.evaluation.batch_size):
            rows = slice(start, start + self.evaluation.batch_size)
            yield {name: torch.from_numpy(array[rows]).to(device) for name, array in self.evaluation.batch.items()}


def ask(
    corpus: Corpus, tokenizer: PreTrainedTokenizerBase, block_size: int, max_blocks: int, batch_size: int = 32
) -> Questions:
    """The first `max_blocks` blocks of the validation split, masked as training's evaluation masks them."""
    arguments = ObjectiveArguments()
    packed = PackedBlocks(tokenize_documents(tokenizer, corpus.splits["validation"]), block_size, "validation")
    rows = packed.all_rows(max_blocks)
    objective = MaskedLanguageModeling(arguments, tokenizer)
    evaluation = FixedEvaluation(rows, objective, arguments.eval_seed, batch_size)
    return Questions(evaluation, classify(evaluation.batch["input_ids"], tokenizer))


def token_class(token: str) -> str:
    """The class of a token by its first character (a WordPiece continuation by the first one after `##`)."""
    first = token.removeprefix("##")[:1] or token[:1]
    if not first:
        return "other"
    symbol = unicodedata.category(first)[0] in "PS"
    kinds = (first.islower(), first.isupper(), first.isdigit(), first.isspace(), symbol)
    return next((name for name, holds in zip(CLASSES, kinds, strict=False) if holds), "other")


def classify(ids: np.ndarray, tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """The index in CLASSES of every input token, same shape as `ids`."""
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    lookup = np.asarray([CLASSES.index(token_class(token)) for token in tokens])
    lookup[tokenizer.all_special_ids] = CLASSES.index("special")
    lookup[tokenizer.mask_token_id] = CLASSES.index("masked")
    return lookup[ids]


def validation_loss(model: PreTrainedModel, questions: Questions) -> float:
    """Mean loss in nats over all masked tokens."""
    plain = SimpleNamespace(device=model.device, autocast=contextlib.nullcontext)
    return float(questions.evaluation.scores(model, plain)["loss"].mean(dtype=np.float64))


def sublayers(model: PreTrainedModel) -> dict[str, MinBertOutput]:
    """The modules that join each sublayer's update with the stream, in order, by name: "1 attention", …"""
    found = {}
    for number, layer in enumerate(model.bert.encoder.layer, 1):
        found |= {f"{number} attention": layer.attention.output, f"{number} feed-forward": layer.output}
    return found


# ---- where and what: openings --------------------------------------------------------------------------------------


def split_gates(
    gates: torch.Tensor | tuple[torch.Tensor, torch.Tensor] | None, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(T, C) from what a gate module returns: coupled T, a pair, or None for a residual sublayer."""
    if gates is None:
        return torch.ones_like(like), torch.ones_like(like)
    return gates if isinstance(gates, tuple) else (gates, 1 - gates)


def measure_join(update: torch.Tensor, stream: torch.Tensor, gates: Any) -> dict[str, torch.Tensor]:
    """Each of QUANTITIES per token, `(batch, seq)`: T and C averaged over features, and |T * F(x)| / |C * x|."""
    transform, carry = split_gates(gates, stream)
    added, kept = (transform * update).norm(dim=-1), (carry * stream).norm(dim=-1)
    ratio = added / kept.clamp_min(torch.finfo(kept.dtype).tiny)
    return {"transform": transform.mean(-1), "carry": carry.mean(-1), "update_ratio": ratio}


def gate_of(output: MinBertOutput) -> torch.nn.Module | None:
    """What computes the gates of a sublayer; None where it has none."""
    return dict(output.named_children()).get("gate")


@contextlib.contextmanager
def _listening(output: MinBertOutput, found: list[dict[str, torch.Tensor]]) -> Iterator[None]:
    """Appends `measure_join` of every forward pass through `output` to `found`."""
    seen: dict[str, Any] = {"gates": None}
    gate = gate_of(output)
    handles = [
        output.register_forward_pre_hook(lambda module, inputs: seen.update(stream=inputs[1])),
        output.dropout.register_forward_hook(lambda module, inputs, update: seen.update(update=update)),
        output.register_forward_hook(lambda *_: found.append(measure_join(**seen))),
    ]
    if gate is not None:
        handles.append(gate.register_forward_hook(lambda module, inputs, gates: seen.update(gates=gates)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def token_openings(model: PreTrainedModel, questions: Questions) -> dict[str, dict[str, np.ndarray]]:
    """For every sublayer, each of QUANTITIES per token of the questions, `(blocks, seq)`."""
    outputs = sublayers(model)
    found: dict[str, list[dict[str, torch.Tensor]]] = {name: [] for name in outputs}
    with contextlib.ExitStack() as stack:
        for name, output in outputs.items():
            stack.enter_context(_listening(output, found[name]))
        for batch in questions.batches(model.device):
            model(input_ids=batch["input_ids"])
    return {
        name: {quantity: torch.cat([part[quantity] for part in parts]).cpu().numpy() for quantity in QUANTITIES}
        for name, parts in found.items()
    }


def openings(model: PreTrainedModel, questions: Questions) -> dict[str, dict[str, Any]]:
    """For every sublayer and each of QUANTITIES: the mean, and means by position and by class of the input token."""
    tokens = token_openings(model, questions)
    return {
        name: {quantity: _averages(values, questions.classes) for quantity, values in of_sublayer.items()}
        for name, of_sublayer in tokens.items()
    }


def _averages(values: np.ndarray, classes: np.ndarray) -> dict[str, Any]:
    values = values.astype(np.float64)
    masked = classes == CLASSES.index("masked")
    groups = {name: classes == index for index, name in enumerate(CLASSES)} | {"not masked": ~masked}
    return {
        "mean": float(values.mean()),
        "by_position": values.mean(0).tolist(),
        "by_class": {name: float(values[members].mean()) for name, members in groups.items() if members.any()},
    }


# ---- lesions -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def without_sublayer(output: MinBertOutput, carry_only: bool = False) -> Iterator[None]:
    """Removes a sublayer's update: `y = x`, or `y = C * x` where `carry_only`.

    In a post-norm net the sublayer's LayerNorm stays: the next sublayer expects a normed stream.
    """
    join = output.join

    def dropped(update: torch.Tensor, stream: torch.Tensor, normed: torch.Tensor) -> torch.Tensor:
        return join(torch.zeros_like(update), stream, normed) if carry_only else stream

    output.join = dropped
    try:
        yield
    finally:
        del output.join  # the class's own method shows again


@contextlib.contextmanager
def layer_order(model: PreTrainedModel, order: Sequence[int]) -> Iterator[None]:
    """Runs the layers in another order; a layer that `order` leaves out is skipped."""
    encoder = model.bert.encoder
    layers = encoder.layer
    encoder.layer = nn.ModuleList(layers[index] for index in order)
    try:
        yield
    finally:
        encoder.layer = layers


def lesion_study(model: PreTrainedModel, questions: Questions, layers: bool = True) -> dict[str, Any]:
    """Validation losses in nats: intact, without each sublayer and (gated ones) with its carry only; `layers` too.

    "layers" are losses without one layer ("1", …), "swaps" with two neighbours exchanged ("1 ↔ 2", …).
    """
    losses: dict[str, Any] = {"intact": validation_loss(model, questions), "sublayers": {}, "carry_only": {}}
    for name, output in sublayers(model).items():
        with without_sublayer(output):
            losses["sublayers"][name] = validation_loss(model, questions)
        if gate_of(output) is not None:
            with without_sublayer(output, carry_only=True):
                losses["carry_only"][name] = validation_loss(model, questions)
    return losses | (_layer_lesions(model, questions) if layers else {})


def _layer_lesions(model: PreTrainedModel, questions: Questions) -> dict[str, dict[str, float]]:
    everything = list(range(len(model.bert.encoder.layer)))
    skips = {f"{i + 1}": everything[:i] + everything[i + 1 :] for i in everything}
    swaps = {f"{i + 1} ↔ {i + 2}": [*everything[:i], i + 1, i, *everything[i + 2 :]] for i in everything[:-1]}
    losses: dict[str, dict[str, float]] = {"layers": {}, "swaps": {}}
    for kind, orders in (("layers", skips), ("swaps", swaps)):
        for name, order in orders.items():
            with layer_order(model, order):
                losses[kind][name] = validation_loss(model, questions)
    return losses


# ---- iterative estimation ------------------------------------------------------------------------------------------


@torch.no_grad()
def streams(model: PreTrainedModel, input_ids: torch.Tensor) -> list[torch.Tensor]:
    """The stream before the first layer and after each, without final norm: `layers + 1` of `(batch, seq, hidden)`."""
    found: list[torch.Tensor] = []
    layers = model.bert.encoder.layer
    handles = [layers[0].register_forward_pre_hook(lambda module, inputs: found.append(inputs[0]))]
    handles += [layer.register_forward_hook(lambda module, inputs, output: found.append(output)) for layer in layers]
    try:
        model(input_ids=input_ids)
    finally:
        for handle in handles:
            handle.remove()
    return found


def lens_loss(model: PreTrainedModel, stream: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Losses `(predicted,)` in nats of a stream `(batch, seq, hidden)` read by final norm and head (logit lens)."""
    norm, scored = model.bert.encoder.LayerNorm, labels != IGNORED
    hidden = stream[scored] if norm is None else norm(stream[scored])
    return F.cross_entropy(model.cls(hidden).float(), labels[scored], reduction="none")


def compare_streams(stream: torch.Tensor, final: torch.Tensor) -> dict[str, torch.Tensor]:
    """How far a stream is from the final one, both `(batch, seq, hidden)`; every value is per token, `(batch, seq)`.

    "mean_difference" and "square_difference" average over features; "distance" is relative to the final norm.
    """
    difference = stream - final
    return {
        "cosine": F.cosine_similarity(stream, final, dim=-1),
        "distance": difference.norm(dim=-1) / final.norm(dim=-1),
        "mean_difference": difference.mean(-1),
        "square_difference": difference.square().mean(-1),
    }


@torch.no_grad()
def estimation_curves(model: PreTrainedModel, questions: Questions) -> dict[str, list[float]]:
    """Curves over depth (0: before the first layer), averages over tokens.

    "lens_loss" (nats), "cosine" to and relative L2 "distance" from the final stream, and "mean_difference" and
    "std_difference" over tokens and features, the estimation error of arXiv 1612.07771.
    """
    depth = len(model.bert.encoder.layer) + 1
    parts: list[dict[str, list[torch.Tensor]]] = [{} for _ in range(depth)]
    for batch in questions.batches(model.device):
        states = streams(model, batch["input_ids"])
        for values, state in zip(parts, states, strict=True):
            found = compare_streams(state, states[-1]) | {"lens_loss": lens_loss(model, state, batch["labels"])}
            for name, tensor in found.items():
                values.setdefault(name, []).append(tensor.flatten())
    means = [{name: torch.cat(kept).double().mean().item() for name, kept in values.items()} for values in parts]
    curves = {name: [at[name] for at in means] for name in ("lens_loss", "cosine", "distance", "mean_difference")}
    return curves | {"std_difference": [_std(at["square_difference"], at["mean_difference"]) for at in means]}


def _std(mean_square: float, mean: float) -> float:
    return max(0.0, mean_square - mean**2) ** 0.5


# ---- all of it -----------------------------------------------------------------------------------------------------


def analyze_model(folder: Path, corpus: Corpus, block_size: int | None, max_blocks: int) -> dict[str, Any]:
    """Everything about the model saved in `folder`, as plain JSON values."""
    model, tokenizer = load_model(folder)
    questions = ask(corpus, tokenizer, _fitting(block_size, model, folder), max_blocks)
    config = model.config
    about = {"folder": str(folder), "model_type": config.model_type, "norm_position": config.norm_position}
    about |= {"gated": is_gated(model), "gates": gate_settings(model)} | count_parameters(model)
    about |= {"block_size": questions.classes.shape[1], "blocks": questions.classes.shape[0]}
    return about | {
        "openings": openings(model, questions),
        "lesions": lesion_study(model, questions),
        "iterative_estimation": estimation_curves(model, questions),
    }


def is_gated(model: PreTrainedModel) -> bool:
    """Whether any sublayer has a gate."""
    return any(gate_of(output) is not None for output in sublayers(model).values())


def gate_settings(model: PreTrainedModel) -> dict[str, Any]:
    """The configuration's gate fields, none for a residual net."""
    return {n: v for n, v in model.config.to_dict().items() if n.startswith("gate_")} if is_gated(model) else {}


def _fitting(block_size: int | None, model: PreTrainedModel, folder: Path) -> int:
    longest = model.config.max_position_embeddings
    if block_size is not None and block_size > longest:
        raise InputError(f"--block_size: {block_size}; {folder} allows {longest} (max_position_embeddings) or fewer")
    return block_size or longest


def snapshot_folders(folder: Path) -> dict[int, Path]:
    """Optimizer step -> saved model. Raises InputError where `folder` holds no snapshots."""
    found = {int(p.name.removeprefix(SNAPSHOT)): p for p in folder.glob(SNAPSHOT + "*") if p.name[5:].isdecimal()}
    if not found:
        raise InputError(f"{folder}: no snapshots ({SNAPSHOT}00001000, …); train with --snapshot_every")
    return dict(sorted(found.items()))


def over_training(folder: Path, corpus: Corpus, block_size: int | None, max_blocks: int) -> list[dict[str, Any]]:
    """For every snapshot: its step, the mean of each of QUANTITIES by sublayer, and the losses of the lesions."""
    moments = []
    for step, saved in snapshot_folders(folder).items():
        model, tokenizer = load_model(saved)
        questions = ask(corpus, tokenizer, _fitting(block_size, model, saved), max_blocks)
        means = {
            name: {quantity: averages["mean"] for quantity, averages in found.items()}
            for name, found in openings(model, questions).items()
        }
        lesions = lesion_study(model, questions, layers=False)
        moments.append({"step": step, "gated": is_gated(model), "openings": means, "lesions": lesions})
    return moments


def labels(folders: Sequence[Path]) -> dict[str, Path]:
    """Short names: a folder's last part, with as many of its parents as it takes to tell all apart."""
    whole = [folder.resolve() for folder in folders]
    if len(set(whole)) < len(whole):
        twice = next(path for path in whole if whole.count(path) > 1)
        raise InputError(f"{twice}: is given twice")
    for count in range(1, max((len(path.parts) for path in whole), default=1) + 1):
        names = ["/".join(path.parts[-count:]) for path in whole]
        if len(set(names)) == len(names):
            break
    return dict(zip(names, folders, strict=True))
