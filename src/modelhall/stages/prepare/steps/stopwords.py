"""Leave out words that tell little: English, Chinese, or a list of one's own.

- stopwords: {columns: [text], language: en, words: [film]}
"""

from __future__ import annotations

import re
from typing import Literal

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, text_columns

_ENGLISH = """
a about above after again against all am an and any are as at be because been before being below
between both but by can could did do does doing down during each few for from further had has have
having he her here hers herself him himself his how i if in into is it its itself just me more most
my myself no nor not now of off on once only or other our ours ourselves out over own same she
should so some such than that the their theirs them themselves then there these they this those
through to too under until up very was we were what when where which while who whom why will with
would you your yours yourself yourselves
"""
_CHINESE = """
的 了 和 是 在 就 都 而 及 与 着 或 也 还 又 把 被 让 给 向 从 对 于 以 之 其 吧 吗 呢
啊 呀 嘛 啦 哦 哪 么 这 那 这个 那个 这些 那些 我们 你们 他们 她们 它们 自己 什么 怎么 因为
所以 但是 如果 虽然 而且 然后 以及 一个 一些
"""
_LISTS = {"en": _ENGLISH.split(), "zh": _CHINESE.split()}


def apply(
    rows: pl.DataFrame,
    *,
    columns: list[str] | None = None,
    language: Literal["en", "zh"] | None = None,
    words: list[str] | None = None,
) -> Done:
    """Leave the words out of `columns`, by default all that hold text, whatever their case.

    A listed word of letters goes where it stands alone; one of Chinese characters wherever it stands, longer ones
    first, since nothing shows where words end. Blanks that are left over go as well.
    """
    listed = [*(_LISTS[language] if language else []), *(words or [])]
    if not listed:
        raise Rejected("which words? give a language, a list of words, or both", field="words")
    han = sorted((word for word in listed if re.search(r"[\u3400-\u9fff]", word)), key=len, reverse=True)
    plain = [word for word in listed if word not in han]
    patterns = ["|".join(map(re.escape, han))] if han else []
    patterns += [rf"(?i)\b(?:{'|'.join(map(re.escape, plain))})\b"] if plain else []
    changed = rows
    for name in text_columns(rows, columns):
        column = pl.col(name)
        for pattern in patterns:
            column = column.str.replace_all(pattern, "")
        changed = changed.with_columns(column.str.replace_all(r"[ \t]{2,}", " ").str.strip_chars())
    return Done(rows=changed)
