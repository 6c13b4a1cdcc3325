# Copyright 2026 The hf_variants authors. MIT licence.
"""One figure per arm, drawn from its configuration: what a layer is made of, and how layers follow each other.

A family has one function that lists its parts; all of them are drawn by the same few primitives. Sizes are in units of
a tenth of an inch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ..results.contracts import Arm
from .plots import INK, PALETTE, save_figure
from .recorded_config import arm_config, stage_sizes

TEXT = "How a layer is built and repeated, drawn from the configuration"
Config = Any

# kind of part -> its colour; what is new in a variant stands out against what its baseline has
FILLS = {"data": "#FFFFFF", "norm": "#EEEEEE", "mix": "#D6E8F5", "dense": "#DDF1E4", "new": "#FBDCC8"}
_GAP, _HEIGHT, _FONT = 2.4, 6.4, 8
_LETTER = 0.72  # width of one at this font size
_DASHED = {"fill": False, "linestyle": (0, (4, 3)), "linewidth": 0.9, "edgecolor": "#777777"}
_CELL = 3.6  # of a strip of layers
_STEP = _HEIGHT + 4.5  # from a level to the next


@dataclass(frozen=True)
class Box:
    """A box: its text, and one of the kinds in `FILLS`."""

    text: str
    kind: str

    @property
    def width(self) -> float:
        return 2 + _LETTER * max(len(line) for line in self.text.splitlines())


@dataclass(frozen=True)
class Skip:
    """Parts that a connection leads around, and what joins the two; `after` is what follows the join."""

    parts: Sequence[Box]
    join: Box
    after: Sequence[Box] = ()


@dataclass(frozen=True)
class Chain:
    """Parts in a row; those of `block` are repeated."""

    before: Sequence[Box]
    block: Sequence[Box | Skip]
    repeated: str
    after: Sequence[Box]


# ---- what each family is made of -----------------------------------------------------------------------------------


def _layer(attention: Box, dense: Box, join: Box, pre_norm: bool) -> list[Skip]:
    norm = Box("layer\nnorm", "norm")
    if pre_norm:
        return [Skip([norm, attention], join), Skip([norm, dense], join)]
    return [Skip([attention], join, [norm]), Skip([dense], join, [norm])]


def _dense(width: int, inner: int, activation: str) -> Box:
    name = "gelu" if activation.startswith("gelu") else activation
    return Box(f"feed-forward\n{width} → {inner} → {width}\n{name}", "dense")


def _encoder(config: Config) -> Chain:
    """minbert, highway_bert and similarity_bert."""
    similarity = getattr(config, "attention_similarity", "dot_product")
    heads, changed = config.num_attention_heads, similarity != "dot_product"
    size = getattr(config, "query_key_width", config.hidden_size // heads)
    attention = Box(f"attention\n{heads} heads of {size}\n{similarity.replace('_', ' ')}", "new" if changed else "mix")
    gated = getattr(config, "skip_connection", "residual") == "highway"
    join = Box("+", "data")
    if gated:
        gate = "per feature" if config.gate_type == "feature" else "per position"
        join = Box(f"gate\nC·x + T·F\n{gate}", "new")
    dense = _dense(config.hidden_size, config.intermediate_size, config.hidden_act)
    embeddings = [f"embeddings\nwidth {config.hidden_size}", f"{config.max_position_embeddings} positions"]
    pre = config.norm_position == "pre"
    return Chain(
        before=[Box("tokens", "data"), Box("\n".join(embeddings), "mix")],
        block=_layer(attention, dense, join, pre),
        repeated=f"{config.num_hidden_layers} layers",
        after=[*([Box("layer\nnorm", "norm")] if pre else []), Box("head", "data")],
    )


def _attention_of_decoder(heads: int, width: int) -> Box:
    return Box(f"causal attention\n{heads} heads of {width // heads}", "mix")


def _decoder(config: Config) -> Chain:
    """nanogpt and progressive_gpt."""
    width = config.hidden_size
    dense = _dense(width, config.intermediate_size or 4 * width, config.hidden_act)
    attention = _attention_of_decoder(config.num_attention_heads, width)
    blocks = getattr(config, "num_blocks", config.num_hidden_layers)
    repeated = f"{config.num_hidden_layers} layers"
    embeddings = Box(f"embeddings\nwidth {width}\n{config.max_position_embeddings} positions", "mix")
    return Chain(
        before=[Box("tokens", "data"), embeddings],
        block=_layer(attention, dense, Box("+", "data"), True),
        repeated=repeated + (f", {blocks} distinct blocks" if blocks != config.num_hidden_layers else ""),
        after=[Box("layer\nnorm", "norm"), Box("next token", "data")],
    )


def _gru(config: Config) -> Chain:
    size = config.hidden_size
    return Chain(
        before=[Box("words", "data"), Box(f"embeddings\nwidth {config.embedding_size}", "mix")],
        block=[Box(f"GRU forward: {size} units\nGRU backward: {size} units", "dense")],
        repeated=f"{config.num_hidden_layers} layer{'s' if config.num_hidden_layers > 1 else ''}",
        after=[Box(f"pooling: {config.pooling}\nwidth {2 * size}", "mix"), Box("head", "data")],
    )


_CHAINS: dict[str, Callable[[Config], Chain]] = {
    **dict.fromkeys(("minbert", "highway_bert", "similarity_bert"), _encoder),
    **dict.fromkeys(("nanogpt", "progressive_gpt", "conv_gpt"), _decoder),
    "bigru": _gru,
}


# ---- drawing -------------------------------------------------------------------------------------------------------


def box(axis: Axes, x: float, y: float, part: Box) -> float:
    """Draws a part with its left edge at `x` and its middle at `y`; returns where it ends."""
    shape = FancyBboxPatch(
        (x, y - _HEIGHT / 2), part.width, _HEIGHT, boxstyle="round,pad=0,rounding_size=1.2",
        facecolor=FILLS[part.kind], edgecolor=PALETTE[1] if part.kind == "new" else INK, linewidth=0.9,
    )  # fmt: skip
    axis.add_patch(shape)
    axis.text(x + part.width / 2, y, part.text, ha="center", va="center", fontsize=_FONT, color=INK)
    return x + part.width


def arrow(axis: Axes, *points: tuple[float, float]) -> None:
    """An arrow along straight pieces from point to point."""
    axis.plot(*zip(*points, strict=True), color=INK, linewidth=0.9, snap=False, solid_joinstyle="miter", zorder=1)
    look = {"arrowstyle": "-|>,head_length=0.35,head_width=0.16", "color": INK, "linewidth": 0.9}
    axis.annotate("", xy=points[-1], xytext=points[-2], arrowprops=look | {"shrinkA": 0, "shrinkB": 0})


def frame(axis: Axes, left: float, right: float, low: float, high: float, text: str) -> None:
    """A dashed frame around what is repeated, with its text above."""
    axis.add_patch(FancyBboxPatch((left, low), right - left, high - low, boxstyle="round,pad=0", **_DASHED))
    axis.text((left + right) / 2, high + 0.8, text, ha="center", va="bottom", fontsize=_FONT + 0.5, color=INK)


def _row(axis: Axes, x: float, y: float, parts: Sequence[Box]) -> float:
    """Parts in a row, each with an arrow to it; returns where the last one ends."""
    for part in parts:
        arrow(axis, (x, y), (x + _GAP, y))
        x = box(axis, x + _GAP, y, part)
    return x


def _skip(axis: Axes, x: float, y: float, skip: Skip) -> float:
    """Parts, a line around them, and the join; all begin at `x`."""
    high = y + _HEIGHT / 2 + 2.5
    end = _row(axis, x, y, skip.parts)
    arrow(axis, (end, y), (end + _GAP, y))
    joined = box(axis, end + _GAP, y, skip.join)
    middle = end + _GAP + skip.join.width / 2
    arrow(axis, (x, y), (x, high), (middle, high), (middle, y + _HEIGHT / 2))
    return _row(axis, joined, y, skip.after)


def draw_chain(axis: Axes, chain: Chain, y: float) -> float:
    """Draws a chain from the left edge, its middle at height `y`; returns how far it reaches."""
    left = end = _row(axis, box(axis, 0, y, chain.before[0]), y, chain.before[1:])
    for item in chain.block:
        axis.plot([end, end + _GAP], [y, y], color=INK, linewidth=0.9, snap=False, zorder=1)
        end = _skip(axis, end + _GAP, y, item) if isinstance(item, Skip) else _row(axis, end, y, [item])
    frame(axis, left + _GAP / 2, end + _GAP / 2, y - _HEIGHT / 2 - 1.5, y + _HEIGHT / 2 + 4, chain.repeated)
    return _row(axis, end, y, chain.after)


def draw_levels(axis: Axes, config: Config, y: float) -> float:
    """The levels of a conv_gpt as stairs, down on the left and up on the right; returns how far they reach."""
    chain, levels = _decoder(config), config.num_levels
    begin = _row(axis, box(axis, 0, y, chain.before[0]), y, chain.before[1:]) + _GAP
    parts = [_level_parts(config, level) for level in range(levels + 1)]
    column = max(part.width for pair in parts for part in pair) + 4 * _GAP
    arrow(axis, (begin - _GAP, y), (begin, y))
    end = 0.0
    for level in range(levels, -1, -1):  # from the coarsest up: each level needs to know where the one below ends
        height, left, right = y - _STEP * level, begin + level * column, begin + (2 * levels - level) * column
        down_end = box(axis, left, height, parts[level][0])
        if level < levels:
            _join_levels(axis, config, (down_end, left + column), (end, right), height)
            down_end = box(axis, right, height, Box("+", "new"))
        end = _row(axis, down_end, height, parts[level][1:])
    return _row(axis, end, y, chain.after)


def _join_levels(
    axis: Axes, config: Config, down: tuple[float, float], up: tuple[float, float], height: float
) -> None:
    """What leads past the coarser levels, down to them and up; `down` and `up`: where each way starts and ends."""
    below, corner, plus = height - _STEP, down[0] + _GAP, up[1] + Box("+", "new").width / 2
    arrow(axis, (down[0], height), (up[1], height))
    arrow(axis, (corner, height), (corner, below), (down[1], below))
    arrow(axis, (up[0], below), (plus, below), (plus, height - _HEIGHT / 2))
    words = {"fontsize": _FONT, "va": "center", "color": INK}
    axis.text(corner + 0.8, height - _STEP / 2, f"convolution, stride {config.sequence_factor}", **words)
    axis.text(plus - 0.8, height - _STEP / 2, "transposed convolution", ha="right", **words)


def _level_parts(config: Config, level: int) -> list[Box]:
    """The blocks of a level on the way down, and those on the way up if it has any."""
    count, text = config.level_layers[level], _level_text(config, level)
    counts = [count] if level == config.num_levels else [-(-count // 2), count // 2]
    return [Box(f"{number} block{'s' if number > 1 else ''}\n{text}", "mix") for number in counts if number]


def _level_text(config: Config, level: int) -> str:
    share = "all positions" if level == 0 else f"1 of {config.sequence_factor**level} positions"
    heads = config.level_heads[level]
    return f"width {config.level_sizes[level]}, {heads} head{'s' if heads > 1 else ''}\n{share}"


def draw_stages(axis: Axes, stages: Sequence[tuple[int, int]], y: float) -> float:
    """A strip of layers per stage, coloured by the block that each applies; returns how far they reach."""
    labels = [_stage_label(index, stage, len(stages)) for index, stage in enumerate(stages, 1)]
    begin = 3 + _LETTER * max(map(len, labels))
    for index, (layers, blocks) in enumerate(stages):
        height = y - index * (_CELL + 2)
        axis.text(0, height, labels[index], fontsize=_FONT, va="center", color=INK)
        for layer in range(layers):
            block = layer * blocks // layers
            # Colours tell shared blocks apart; there are not enough of them where every layer has its own.
            fill = PALETTE[block % len(PALETTE)] if blocks < layers else "#BBBBBB"
            left = begin + layer * (_CELL + 0.6)
            shape = FancyBboxPatch(
                (left, height - _CELL / 2), _CELL, _CELL, boxstyle="round,pad=0,rounding_size=0.6",
                facecolor=fill, alpha=0.35, edgecolor=INK, linewidth=0.7,
            )  # fmt: skip
            axis.add_patch(shape)
            axis.text(left + _CELL / 2, height, str(block + 1), ha="center", va="center", fontsize=_FONT - 0.5)
    return begin + max(layers for layers, _ in stages) * (_CELL + 0.6)


def _stage_label(number: int, stage: tuple[int, int], count: int) -> str:
    layers, blocks = stage
    text = f"stage {number}: " if count > 1 else ""
    return f"{text}{layers} layers" + (f", {blocks} block{'s' if blocks > 1 else ''}" if blocks != layers else "")


def has_figure(row: Arm) -> bool:
    """Whether `plot_architecture` draws anything for an arm of `results.json`."""
    config = arm_config(row)
    return config is not None and config.model_type in _CHAINS


def plot_architecture(row: Arm, path: str | Path) -> Path | None:
    """Draws an arm of `results.json`: one layer, and below it levels, shared blocks or stages where it has some.

    None, and no file, for a model that is not among `_CHAINS` or whose configuration is not known.
    """
    if not has_figure(row):
        return None
    config = arm_config(row)
    figure = Figure(dpi=150)
    FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    low, high = -_HEIGHT / 2 - 2.5, _HEIGHT / 2 + (2 if getattr(config, "num_levels", 0) else 7)
    if getattr(config, "num_levels", 0):
        reach = draw_levels(axis, config, 0)
        low -= config.num_levels * _STEP
    else:
        reach = draw_chain(axis, _CHAINS[config.model_type](config), 0)
        stages = stage_sizes(row) or _sharing(config)
        if stages:
            reach = max(reach, draw_stages(axis, stages, low - 2))
            low -= 1 + len(stages) * (_CELL + 2)
    axis.set_xlim(-2, reach + 2)
    axis.set_ylim(low, high)
    figure.set_size_inches((reach + 4) / 10, (high - low) / 10)
    return save_figure(figure, path)


def _sharing(config: Config) -> list[tuple[int, int]]:
    blocks = getattr(config, "num_blocks", config.num_hidden_layers)
    return [(config.num_hidden_layers, blocks)] if blocks != config.num_hidden_layers else []
