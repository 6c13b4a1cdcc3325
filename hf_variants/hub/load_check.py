# Copyright 2026 The hf_variants authors. MIT licence.
"""Run in a process of its own: does a folder load for somebody who has torch and transformers, but not this package?

`python -I load_check.py FOLDER` prints one line of JSON: either `problem`, or what `from_pretrained` is called on:
`auto_class` (of the class whose weights were saved), `remote_code`, `tokenizer`, and for an adapter also `base` and
`base_revision`. Only an adapter needs the Hub, for its base.
"""

import json
import os
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

# PEFT's task types -> the Auto class of the base; a masked language model has no task type.
TASKS = {
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    "FEATURE_EXTRACTION": "AutoModel",
}
TOKENIZERS = ("tokenizer_config.json", "tokenizer.json")


class MismatchError(Exception):
    """The parts of the folder do not fit each other."""


def check_model(folder: Path) -> dict[str, Any]:
    """Loads a model folder through every Auto class that it names. Raises MismatchError, or what loading raises."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=True)
    auto_map = getattr(config, "auto_map", None) or {}
    saved = (config.architectures or [""])[0]
    names = [name for name in auto_map if name.startswith("AutoModel")] or [_auto_class(config, saved)]
    own = next((name for name in names if auto_map.get(name, "").endswith(f".{saved}")), names[0])
    for name in names:
        auto_class = getattr(transformers, name)
        model, report = auto_class.from_pretrained(folder, trust_remote_code=True, output_loading_info=True)
        # A head that was not trained is new in every copy; the saved class must have all its weights, and only them.
        if name == own:
            _refuse_leftovers(type(model).__name__, report)
    tokenizer = _check_tokenizer(folder, config)
    return {"auto_class": own, "remote_code": bool(auto_map), "tokenizer": tokenizer}


def _auto_class(config: Any, saved: str) -> str:
    """The name of the Auto class behind which transformers has the class `saved`."""
    import transformers

    for name in dir(transformers):
        mapping = (
            getattr(getattr(transformers, name), "_model_mapping", None) if name.startswith("AutoModel") else None
        )
        if mapping is not None and type(config) in mapping and mapping[type(config)].__name__ == saved:
            return name
    raise MismatchError(
        f"config.json: architectures names {saved or 'nothing'}, which no Auto class of transformers loads"
    )


def _refuse_leftovers(name: str, report: dict[str, Any]) -> None:
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        found = sorted(map(str, report.get(kind) or ()))
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise MismatchError(
                f"weights and config.json disagree: {kind.replace('_', ' ')} of {name}: {found[0]}{more}"
            )


def _check_tokenizer(folder: Path, config: Any) -> bool:
    from transformers import AutoTokenizer

    if not any((folder / name).is_file() for name in TOKENIZERS):
        return False
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    highest, size = max(tokenizer.get_vocab().values(), default=0), getattr(config, "vocab_size", None)
    if size is not None and highest >= size:
        raise MismatchError(f"tokenizer and config.json disagree: token {highest} of a vocab_size of {size}")
    return True


def check_adapter(folder: Path) -> dict[str, Any]:
    """Puts an adapter on its base, which is fetched by name. Raises MismatchError, or whatever loading raises."""
    import peft
    import transformers

    settings = peft.PeftConfig.from_pretrained(folder)
    base = {"pretrained_model_name_or_path": settings.base_model_name_or_path, "revision": settings.revision}
    config = transformers.AutoConfig.from_pretrained(**base, trust_remote_code=True)
    auto_map = getattr(config, "auto_map", None) or {}
    saved = (settings.auto_mapping or {}).get("base_model_class") or (config.architectures or [""])[0]
    name = TASKS.get(settings.task_type) or next((n for n, c in auto_map.items() if c.endswith(f".{saved}")), None)
    name = name or _auto_class(config, saved)
    model = getattr(transformers, name).from_pretrained(**base, trust_remote_code=True)
    settings.inference_mode = True
    adapted = peft.get_peft_model(model, settings)
    report = peft.set_peft_model_state_dict(adapted, peft.load_peft_weights(folder, device="cpu"))
    absent = [key for key in report.missing_keys if "lora_" in key or "modules_to_save" in key]
    _refuse_leftovers("the adapter", {"missing_keys": absent, "unexpected_keys": report.unexpected_keys})
    about = {"base": settings.base_model_name_or_path, "base_revision": settings.revision}
    return {"auto_class": name, "remote_code": bool(auto_map), "tokenizer": False} | about


def check(folder: Path) -> dict[str, Any]:
    """What is printed for `folder`; nothing is raised."""
    try:
        return check_model(folder) if (folder / "config.json").is_file() else check_adapter(folder)
    except Exception as error:  # remote code may raise anything
        line = textwrap.shorten(str(error), 400, placeholder=" …")
        return {"problem": line if isinstance(error, MismatchError) else f"{type(error).__name__}: {line}"}


def main(folder: Path) -> None:
    """Checks one folder in this process, from which the package is hidden."""
    sys.modules["hf_variants"] = None  # an editable installation would be found even here
    with tempfile.TemporaryDirectory() as code:
        os.environ["HF_MODULES_CACHE"] = code
        print(json.dumps(check(folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
