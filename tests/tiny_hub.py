"""Encoders of transformers in their real layouts, small and with random weights."""

from __future__ import annotations

from typing import Any

WORDS = ["<pad>", "</s>", "<unk>", "a", "bell", "rings", "rain", "wind", "beeps", "then"]


def words_tokenizer() -> Any:
    """Whole words, and `</s>` at the end, as T5 marks it."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def t5(width: int = 16) -> Any:
    import transformers

    sizes = {"d_model": width, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    return transformers.T5Model(transformers.T5Config(vocab_size=len(WORDS), **sizes))
