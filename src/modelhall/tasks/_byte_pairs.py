"""Byte-level BPE tokenizers (Sennrich et al. 2016; Radford et al. 2019): whatever the text, it can be read, and what
is told can be put together to it again."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"
"""Between texts; token 0."""
PARTS = {
    "model": "BPE",
    "normalizer": None,
    "pre_tokenizer": "ByteLevel",
    "post_processor": None,
    "decoder": "ByteLevel",
}
MOST = 8000
_LEAST = 300
_BYTES_A_TOKEN = 500
"""Of text to learn from, for a token to be seen often enough."""


def train(texts: Sequence[str]) -> Tokenizer:
    """A vocabulary as large as the texts can teach, `MOST` at most. The same texts give the same."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    size = sum(len(text.encode()) for text in texts) // _BYTES_A_TOKEN
    trainer = trainers.BpeTrainer(
        vocab_size=min(MOST, max(_LEAST, size)),
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
