"""Model files of a few hundred kilobytes, written on the spot: random weights, a real layout."""

import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest

gguf = pytest.importorskip("gguf", reason="needs the extra 'train'")

WORDS = ["▁the", "▁city", "▁a", "Oslo", "Rome", '"}', '":', "name", "tool", "call", "▁in", "er"]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
WIDTH, LAYERS, HEADS, KV_HEADS, HEAD, FEED = 64, 2, 4, 2, 16, 96

CHATML_TOOLS = """\
{%- if tools %}<|im_start|>system
Tools: {% for tool in tools %}{{ tool.function | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.role == 'assistant' and message.tool_calls %}<|im_start|>assistant
{{ message.content }}{% for call in message.tool_calls %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% else %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

CHATML = """\
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def vocabulary() -> list[tuple[str, float, int]]:
    """Tokens with score and type: control, bytes, special, words, single characters."""
    kinds = gguf.TokenType
    tokens = [("<unk>", 0.0, kinds.UNKNOWN), ("<s>", 0.0, kinds.CONTROL)]
    tokens.append(("</s>", 0.0, kinds.CONTROL))
    tokens += [(f"<0x{byte:02X}>", 0.0, kinds.BYTE) for byte in range(256)]
    tokens += [(name, 0.0, kinds.CONTROL) for name in SPECIAL]
    tokens += [(word, -float(i), kinds.NORMAL) for i, word in enumerate(WORDS)]
    signs = [*string.printable[:95].replace(" ", ""), "▁"]
    tokens += [(sign, -100.0 - i, kinds.NORMAL) for i, sign in enumerate(signs)]
    return [(text, score, int(kind)) for text, score, kind in tokens]


def write_model(
    path: Path,
    family: str = "llama",
    seed: int = 0,
    trained: int = 2048,
    template: str | None = None,
) -> Path:
    """Write a model with random weights: LLaMA's layout, or Gemma 3's with a sliding window."""
    random = np.random.default_rng(seed)
    writer: Any = gguf.GGUFWriter(path, family)
    writer.add_context_length(trained)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS if family == "llama" else 7)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_file_type(7)
    if family == "gemma3":
        writer.add_sliding_window(48)
    tokens = vocabulary()
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token[0] for token in tokens])
    writer.add_token_scores([token[1] for token in tokens])
    writer.add_token_types([token[2] for token in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(False)
    if template is not None:
        writer.add_chat_template(template)

    def add(name: str, *shape: int) -> None:
        if len(shape) == 1:
            writer.add_tensor(name, np.ones(shape, np.float32))
            return
        numbers = random.normal(0, 0.35, shape).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(numbers, kind), raw_dtype=kind)

    add("token_embd.weight", len(tokens), WIDTH)
    add("output.weight", len(tokens), WIDTH)
    add("output_norm.weight", WIDTH)
    for block in range(LAYERS if family == "llama" else 7):
        name = f"blk.{block}"
        add(f"{name}.attn_norm.weight", WIDTH)
        add(f"{name}.attn_q.weight", HEADS * HEAD, WIDTH)
        add(f"{name}.attn_k.weight", KV_HEADS * HEAD, WIDTH)
        add(f"{name}.attn_v.weight", KV_HEADS * HEAD, WIDTH)
        add(f"{name}.attn_output.weight", WIDTH, HEADS * HEAD)
        add(f"{name}.ffn_norm.weight", WIDTH)
        add(f"{name}.ffn_gate.weight", FEED, WIDTH)
        add(f"{name}.ffn_up.weight", FEED, WIDTH)
        add(f"{name}.ffn_down.weight", WIDTH, FEED)
        if family == "gemma3":
            add(f"{name}.attn_q_norm.weight", HEAD)
            add(f"{name}.attn_k_norm.weight", HEAD)
            add(f"{name}.post_attention_norm.weight", WIDTH)
            add(f"{name}.post_ffw_norm.weight", WIDTH)
    _write(writer)
    return path


def write_adapter(path: Path, family: str = "llama", seed: int = 1, rank: int = 4) -> Path:
    """Write a LoRA adapter for one matrix of such a model."""
    random = np.random.default_rng(seed)
    writer: Any = gguf.GGUFWriter(path, family)
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0 * rank)
    parts = {"lora_a": (rank, WIDTH), "lora_b": (HEADS * HEAD, rank)}
    for part, shape in parts.items():
        numbers = random.normal(0, 0.5, shape).astype(np.float32)
        writer.add_tensor(f"blk.0.attn_q.weight.{part}", numbers)
    _write(writer)
    return path


def _write(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
