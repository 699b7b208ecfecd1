"""WordPiece tokenizers (Wu et al. 2016), in lower case and without accents as BERT has it; a Chinese character is a
word of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

VOCABULARY = 8000
PARTS = {
    "model": "WordPiece", "normalizer": "BertNormalizer", "pre_tokenizer": "BertPreTokenizer",
    "post_processor": "TemplateProcessing", "decoder": "WordPiece",
}  # fmt: skip
SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}


def train(texts: Sequence[str]) -> Tokenizer:
    """WordPiece as BERT has it. The same texts give the same vocabulary, number by number."""
    tokenizer = _tokenizer(models.WordPiece(unk_token="[UNK]"))
    # Left to itself the trainer numbers characters, and breaks ties between rare ones, by chance. So they are
    # chosen here, and those within words come to it as special tokens, in order.
    alphabet, within = _alphabet(tokenizer, texts)
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY,
        min_frequency=2,
        special_tokens=[*SPECIAL.values(), *within],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    trained = _tokenizer(models.WordPiece(tokenizer.get_vocab(), unk_token="[UNK]"))
    trained.add_special_tokens(list(SPECIAL.values()))
    trained.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(word, trained.token_to_id(word)) for word in ("[CLS]", "[SEP]")],
    )
    return trained


def _tokenizer(model: models.WordPiece) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, handle_chinese_chars=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _alphabet(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The commonest characters, half the vocabulary at most, each seen at least twice; and those of them that
    stand within words, as WordPiece writes them."""
    normal = (tokenizer.normalizer.normalize_str(text) for text in texts)
    words = Counter(word for text in normal for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    counts: Counter[str] = Counter()
    for word, times in words.items():
        counts.update(dict.fromkeys(word, times))
    common = sorted(counts, key=lambda character: (-counts[character], character))[: VOCABULARY // 2]
    alphabet = sorted(character for character in common if counts[character] > 1)
    within = sorted({character for word in words for character in word[1:]}.intersection(alphabet))
    return alphabet, [f"##{character}" for character in within]
