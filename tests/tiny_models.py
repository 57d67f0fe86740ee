"""Small random models with real tokenizers, in Hugging Face's layout."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

TEXTS = [
    "Thought: the weather in Oslo is asked for.\nAction: by_city_for_weather_now\n",
    'Action Input: {"city": "Oslo", "days": 3, "metric": true}\n',
    "Assistant: User: System: Function: You answer a user's request by calling functions.",
    "The result says that it rains, at 12.5 degrees, until 18:00 on 2025-03-04.",
    "Finish give_answer final_answer return_type give_up_and_restart",
]
STRANGE = (
    "a  b\n\n\t\"x\": [1, 22, 333, 4444],  naïve café, 漢字 🎉 <s> \\u00e9 it's I'LL 100%\r\n  end "
)
"""What tokenizers trip over."""


def byte_level(
    size: int = 600, pattern: str = "gpt2", texts: Sequence[str] = ()
) -> PreTrainedTokenizerFast:
    """GPT-2's kind, over bytes; SmolLM's where the pattern says so."""
    tokenizer = Tokenizer(models.BPE())
    cutter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pattern == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, cutter])
    else:
        tokenizer.pre_tokenizer = cutter
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*TEXTS, STRANGE, *texts], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def sentencepiece(size: int = 600, prepend: bool = True) -> PreTrainedTokenizerFast:
    """LLaMA's and Gemma's kind: merges by score, and bytes for what is unknown."""
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    texts = [text.replace(" ", "▁") for text in [*TEXTS, "▁".join(TEXTS)]]
    learner.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size - 260, show_progress=False)
    )
    learnt = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    special = ["<pad>", "</s>", "<s>", "<unk>"]
    listed = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *(t for t, _ in learnt)]
    vocabulary = {token: number for number, token in enumerate(listed)}
    merges = [
        (token[:cut], token[cut:])
        for token, _ in learnt
        for cut in range(1, len(token))
        if token[:cut] in vocabulary and token[cut:] in vocabulary
    ]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    replace = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = (
        normalizers.Sequence([normalizers.Prepend("▁"), replace]) if prepend else replace
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
    )
    from tokenizers.processors import TemplateProcessing

    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", made.bos_token_id)]
    )
    return made


def llama(folder: Path, tokenizer: PreTrainedTokenizerFast, **changes: object) -> Path:
    """A LLaMA with grouped heads."""
    torch.manual_seed(1)
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "max_position_embeddings": 2048,
        "initializer_range": 0.08,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        **changes,
    }
    LlamaForCausalLM(LlamaConfig(**settings)).save_pretrained(folder)  # type: ignore[arg-type]
    tokenizer.save_pretrained(folder)
    return folder


def gemma(folder: Path, tokenizer: PreTrainedTokenizerFast, **changes: object) -> Path:
    """A Gemma 3 with a short window, five layers of it to one global layer, and random norms."""
    torch.manual_seed(2)
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 7,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "query_pre_attn_scalar": 64,
        "sliding_window": 16,
        "max_position_embeddings": 4096,
        "initializer_range": 0.08,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **changes,
    }
    model = Gemma3ForCausalLM(Gemma3TextConfig(**settings))  # type: ignore[arg-type]
    for name, weight in model.named_parameters():
        if name.endswith("norm.weight"):
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
