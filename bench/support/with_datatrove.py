"""The same work by datatrove, in a Python of its own that has it: `python with_datatrove.py CORPUS TOKENIZER FOLDER`.

filter (Gopher's rules) → exact duplicates → near duplicates (its defaults: 5-grams, 14 buckets of 8) → tokens in
shards. One task, one process.
"""

import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import ExactDedupFilter, ExactDedupSignature, ExactFindDedups
from datatrove.pipeline.dedup.exact_dedup import ExactDedupConfig
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.filters import GopherQualityFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter


def main(corpus: str, tokenizer: str, folder: str) -> None:

    def place(name: str) -> str:
        return str(Path(folder) / name)

    minhash, exact = MinhashConfig(), ExactDedupConfig(content_getter=lambda document: document.text.encode())
    plain = {"compression": None}
    stages = [
        [JsonlReader(corpus), GopherQualityFilter(), JsonlWriter(place("filtered"), **plain)],
        [JsonlReader(place("filtered")), ExactDedupSignature(place("exact"), finder_workers=1, config=exact)],
        [ExactFindDedups(place("exact"), place("same"), config=exact)],
        [JsonlReader(place("filtered")),
            ExactDedupFilter(place("same"), config=exact),
            JsonlWriter(place("once"), **plain),],
        [JsonlReader(place("once")), MinhashDedupSignature(place("signatures"), config=minhash)],
        [MinhashDedupBuckets(place("signatures"), place("buckets"), config=minhash)],
        [MinhashDedupCluster(place("buckets"), place("removed"), config=minhash)],
        [
            JsonlReader(place("once")),
            MinhashDedupFilter(place("removed")),
            DocumentTokenizer(place("tokens"), tokenizer_name_or_path=tokenizer, shuffle_documents=False, seed=1),
        ],
    ]  # fmt: skip
    for number, stage in enumerate(stages):
        tasks = minhash.num_buckets if isinstance(stage[0], MinhashDedupBuckets) else 1
        logs = place(f"logs-{number}")
        LocalPipelineExecutor(stage, tasks=tasks, workers=1, logging_dir=logs).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
