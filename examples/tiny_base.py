"""A random model of LLaMA's kind, to try training and export with: `python -m examples.tiny_base`.

It learns nothing worth having, but every step takes seconds.
"""

import argparse
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

VOCABULARY = 2000


def tokenizer_of(text: Path) -> PreTrainedTokenizerFast:
    """Learn a byte-level tokenizer from the lines of a file."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner.train_from_iterator(text.read_text(encoding="utf-8").splitlines(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=learner, bos_token="<s>", eos_token="</s>")


def make_base(text: Path, out: Path) -> None:
    """Write a tokenizer and random weights in Hugging Face's layout."""
    set_seed(0)
    tokenizer_of(text).save_pretrained(out)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(out)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="python -m examples.tiny_base")
    parser.add_argument("text", type=Path, help="the tokenizer learns from its lines")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    make_base(chosen.text, chosen.out)
    print(f"A random base in {chosen.out}")


if __name__ == "__main__":
    main()
