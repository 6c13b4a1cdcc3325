# Copyright 2026 The hf_variants authors. MIT licence.
"""A data set that is streamed: documents in shards, and what it is known by, since it is never read as a whole.

A shard is a file, or one of the parts that a data set of the Hub has. The train split is the list of its shards; a
source without a validation split gives the first documents for that, and for test, as `datasets` does with `take` and
`skip`.
"""

import functools
import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checking import InputError
from ..recipes.sections import DataArguments
from .builtin import load_builtin
from .corpora import fingerprint
from .questions import as_documents
from .sources import hub_name, hub_rows, hub_tables, local_files, text_columns
from .split_files import SPLITS
from .streams import Document, Documents, LongText, beginning, of_file, pieces

SAMPLED_SHARDS = 16  # a tokenizer is trained on the beginnings of so many
SAMPLED_PIECES, PIECE = 16, 1 << 16  # of a file, and bytes in each: its fingerprint; a smaller file counts whole


@dataclass
class ShardedText:
    """The shards of each split. `identity` is what `fingerprint` is made of, in words."""

    name: str
    splits: dict[str, list[Documents]]
    fingerprint: str
    identity: str
    size: dict[str, int]  # of train: shards, and bytes where they are known
    hub_id: str | None = None
    license: str | None = None

    def documents(self, split: str) -> Iterator[Document]:
        """The documents of a split, shard by shard."""
        return itertools.chain.from_iterable(shard() for shard in self.splits[split])

    def sample(self, characters: int) -> Documents:
        """Train's first so many characters, as beginnings of shards; those of all where there are few.

        Of a shard that holds less than its share, what is missing is not made up for by another.
        """
        shards = self.splits["train"]
        count = min(len(shards), SAMPLED_SHARDS)
        chosen = [shards[number * len(shards) // count] for number in range(count)]
        return lambda: itertools.chain.from_iterable(beginning(shard, -(-characters // count)) for shard in chosen)


def open_shards(arguments: DataArguments) -> ShardedText:
    """What `data` names, with a validation split. Raises InputError where there is no such data."""
    found = _open(arguments)
    if "train" not in found.splits:
        raise InputError(f"data: {found.name}: the train split is empty")
    if "validation" not in found.splits:
        _hold_out(found, arguments.held_out_documents)
    return found


def _open(arguments: DataArguments) -> ShardedText:
    name, columns = arguments.dataset, text_columns(arguments)
    if name.startswith("builtin/"):
        texts, license = load_builtin(name)
        splits = {split: [functools.partial(iter, documents)] for split, documents in texts.items()}
        return ShardedText(name, splits, fingerprint(texts), "the text itself", {"shards": 1}, license=license)
    local = local_files(arguments)
    if local is None:
        return _of_hub(arguments)
    splits = {split: [functools.partial(of_file, file, columns) for file in files] for split, files in local.items()}
    train = local.get("train", [])
    size = {"shards": len(train), "bytes": sum(file.stat().st_size for file in train)}
    identity = f"names, sizes and up to {SAMPLED_PIECES} pieces of {PIECE} bytes of each file"
    return ShardedText(name, splits, files_fingerprint(local), identity, size)


# ---- files ---------------------------------------------------------------------------------------------------------


def files_fingerprint(splits: dict[str, list[Path]]) -> str:
    """sha256 over the name and size of each file and evenly spaced pieces of it, the last bytes among them.

    Times of change and folders don't count. A change between the pieces that keeps the size is not seen.
    """
    digest = hashlib.sha256()
    for split in SPLITS:
        for path in splits.get(split, []):
            digest.update(f"{split}:{path.name}:{path.stat().st_size}:".encode() + _sampled(path))
    return "sampled-sha256:" + digest.hexdigest()


def _sampled(path: Path) -> bytes:
    digest, last = hashlib.sha256(), max(0, path.stat().st_size - PIECE)
    try:
        with path.open("rb") as file:
            for place in sorted({last * number // (SAMPLED_PIECES - 1) for number in range(SAMPLED_PIECES)}):
                file.seek(place)
                digest.update(file.read(PIECE))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    return digest.digest()


# ---- the Hub -------------------------------------------------------------------------------------------------------


def _of_hub(arguments: DataArguments) -> ShardedText:
    name, columns = arguments.dataset, text_columns(arguments)
    tables = hub_tables(arguments, streaming=True)
    splits = {
        split: [functools.partial(_documents, shard, columns, where) for shard in _shards(table)]
        for split, table, where in tables
    }
    revision = _revision(arguments)
    size = {
        "shards": len(splits.get("train", ()))
    }  # counts: the cache of `datasets` has others, read in another order
    about = f"{name}:{arguments.dataset_config}:{revision}:{size['shards']}"
    digest = hashlib.sha256(about.encode()).hexdigest()
    identity = f"name, configuration and revision {revision} of the Hub, and number of shards"
    return ShardedText(name, splits, "hub-sha256:" + digest, identity, size, hub_name(name))


def _documents(table: Any, columns: Sequence[str], where: str) -> Iterator[Document]:
    return as_documents(hub_rows(table, columns, where))


def _shards(table: Any) -> list[Any]:
    return [table.shard(num_shards=table.num_shards, index=index) for index in range(table.num_shards)]


def _revision(arguments: DataArguments) -> str:
    """The commit that the recipe's revision stands for; offline, what the cache of `datasets` was made from."""
    import datasets
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    asked = arguments.dataset_revision
    if asked is not None and re.fullmatch("[0-9a-f]{40}", asked):
        return asked
    try:
        return HfApi().dataset_info(arguments.dataset, revision=asked).sha
    except (OfflineModeIsEnabled, HfHubHTTPError, OSError):
        builder = datasets.load_dataset_builder(arguments.dataset, arguments.dataset_config, revision=asked)
        return str(builder.hash)


# ---- evaluation ----------------------------------------------------------------------------------------------------


def _hold_out(found: ShardedText, count: int) -> None:
    """Takes the first `count` documents of train for validation, and those after them for test unless it has one."""
    wanted = ["validation"] + [split for split in ("test",) if split not in found.splits]
    shards, taken = [], []
    for shard in found.splits["train"]:
        before, missing = len(taken), count * len(wanted) - len(taken)
        for document in itertools.islice(shard(), missing) if missing else ():
            if isinstance(document, LongText) and len(found.splits["train"]) == 1:
                raise InputError(
                    f"data: {found.name}: a text file is one document, of which nothing can be held out; streaming "
                    "needs a folder with a file validation beside train, or several files"
                )
            taken.append("".join(pieces(document)))
        skipped = len(taken) - before
        shards.append(functools.partial(_after, shard, skipped) if skipped else shard)
    if len(taken) < count * len(wanted):
        raise InputError(
            f"data.held_out_documents: {count} each for {', '.join(wanted)}; {found.name} has {len(taken)} documents"
        )
    found.splits["train"] = shards
    for number, split in enumerate(wanted):
        found.splits[split] = [functools.partial(iter, taken[number * count : (number + 1) * count])]


def _after(shard: Documents, count: int) -> Iterator[Document]:
    return itertools.islice(shard(), count, None)
