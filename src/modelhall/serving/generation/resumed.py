"""Going on with a text that another replica has begun, from the token at which it broke off.

A stream that can be gone on with names the tokens of each event, in a comment within it. The gateway hands them on,
with the text that the caller has, to whichever replica is to go on. One that cannot begin there tells the text anew,
and says so by leaving out the header `RESUMES`: the gateway then holds back what the caller has.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from modelhall.serving.engines import Generator, Sampling
from modelhall.serving.generation.asked import Chat, Completion, Resume
from modelhall.serving.generation.text import Text

RESUMES = "x-hall-resumes"
"""The header of an answer that can be gone on with, and that began in the middle if it was asked to."""


def can_be_resumed(asked: Chat | Completion, sampling: Sampling, engine: Generator) -> bool:
    """Whether another replica can go on with this text so that it reads as if one had told it."""
    plain = asked.n == 1 and asked.alternatives is None and not (isinstance(asked, Completion) and asked.echo)
    penalised = bool(sampling.frequency_penalty or sampling.presence_penalty)
    # Drawn without a seed, one continuation is as good as another.
    by_the_rest = not penalised and (sampling.temperature == 0 or asked.seed is None)
    return plain and sampling.schema is None and (engine.counts_told or by_the_rest)


def told_before(
    resume: Resume, sampling: Sampling, tokenizer: Tokenizer, stops: Sequence[str]
) -> tuple[int, ...]:
    """The tokens behind which to go on; none where the text has to be told anew, since it was over with them, or they
    are not those of the text that the caller has."""
    tokens, words = resume.tokens, tokenizer.get_vocab_size(with_added_tokens=True)
    if len(tokens) >= sampling.most or not sampling.ends.isdisjoint(tokens):
        return ()
    if not all(0 <= token < words for token in tokens):
        return ()
    text = Text(tokenizer, stops)
    told = "".join(map(text.feed, tokens))
    return tuple(tokens) if told.startswith(resume.text) and not text.stopped else ()
