"""What is refused before anything is stored. What the hall file itself gets wrong is tested with the hall files."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Any

import pytest

from modelhall.control import admission
from modelhall.control.loop import new_resource
from modelhall.core.errors import Rejected
from modelhall.core.hallfile import document_from_json
from modelhall.core.kinds import Document

DATASET = {"kind": "dataset", "name": "d", "source": "/data.csv"}
MODEL = {
    "kind": "model",
    "name": "m",
    "task": "text-classification",
    "data": "d",
    "network": {"family": "bert"},
}
SERVICE = {"kind": "service", "name": "s", "model": "m"}
RUN = {"kind": "run", "name": "r", "command": ["true"]}


async def anything(url: str, project: str) -> str:
    return "there"


async def nothing(url: str, project: str) -> str:
    raise Rejected(f"nothing found at {url}", field="source")


def check(document: dict[str, Any], *others: dict[str, Any], stored: tuple[dict[str, Any], ...] = (),
          fingerprint: Any = anything) -> None:  # fmt: skip
    """Ask for `document` to be admitted, applied together with `others`, beside what is `stored`."""
    asked: list[Document] = [document_from_json(data) for data in (document, *others)]
    there = [new_resource(document_from_json(data), "uid", 0.0) for data in stored]
    asyncio.run(
        admission.check(
            asked[0], {one.key: one for one in asked}, {one.key: one for one in there}, fingerprint
        )
    )


def refusal(*documents: dict[str, Any], **more: Any) -> tuple[str | None, str]:
    """Field and message."""
    with pytest.raises(Rejected) as caught:
        check(*documents, **more)
    return caught.value.field, caught.value.message


def test_documents_may_name_what_is_stored_and_what_comes_with_them() -> None:
    check(MODEL, DATASET)
    check(MODEL, stored=(DATASET,))
    check(SERVICE, MODEL, stored=(DATASET,))


def test_a_reference_to_nothing_is_refused_with_what_was_probably_meant() -> None:
    assert refusal(MODEL, stored=({**DATASET, "name": "reviews"},)) == (
        "data",
        "no dataset 'd'; there is: reviews",
    )
    assert refusal({**MODEL, "data": "review"}, stored=({**DATASET, "name": "reviews"},)) == (
        "data", "no dataset 'review'; did you mean 'reviews'?",
    )  # fmt: skip
    assert refusal(SERVICE) == ("model", "no model 'm'; there is none")


def test_what_another_project_has_is_not_there() -> None:
    project = {"kind": "project", "name": "p"}
    assert refusal({**MODEL, "project": "p"}, stored=(DATASET, project)) == (
        "data",
        "no dataset 'd'; there is none",
    )
    check({**MODEL, "project": "p"}, {**DATASET, "project": "p"}, project)


def test_a_ring_is_refused_at_the_field_that_closes_it() -> None:
    a, b = ({"kind": "dataset", "name": n, "source": f"dataset://{other}"} for n, other in ("ab", "ba"))
    message = "these wait for each other: dataset a → dataset b → dataset a"
    assert refusal(a, b) == ("source", message)
    assert refusal(b, a) == ("source", message)
    assert refusal(b, stored=(a,)) == ("source", message)


def test_whoever_only_leads_to_a_ring_is_not_blamed_for_it() -> None:
    a, b = ({"kind": "dataset", "name": n, "source": f"dataset://{other}"} for n, other in ("ab", "ba"))
    check({**MODEL, "data": "a"}, stored=(a, b))


def test_a_change_that_opens_a_stored_ring_is_admitted() -> None:
    a, b = ({"kind": "dataset", "name": n, "source": f"dataset://{other}"} for n, other in ("ab", "ba"))
    check({**a, "source": "/data.csv"}, stored=(a, b))


def test_a_project_is_not_inside_another_one() -> None:
    outer = {"kind": "project", "name": "outer"}
    assert refusal({"kind": "project", "name": "inner", "project": "outer"}, outer) == (
        "project", "a project is not inside another one",
    )  # fmt: skip
    assert refusal({**DATASET, "project": "outr"}, outer) == (
        "project",
        "no project 'outr'; did you mean 'outer'?",
    )


def test_a_source_that_cannot_be_read_is_refused_at_its_split() -> None:
    assert refusal(DATASET, fingerprint=nothing) == ("source", "nothing found at /data.csv")
    split = {**DATASET, "source": {"train": "/a.csv"}}
    assert refusal(split, fingerprint=nothing) == ("source.train", "nothing found at /a.csv")


def test_a_base_that_cannot_be_read_is_refused() -> None:
    refused = refusal({**MODEL, "base": "/bert", "network": None}, DATASET, fingerprint=base_is_not_there)
    assert refused == ("base", "nothing found at /bert")
    check({**MODEL, "base": "hf://org/name", "network": None}, DATASET)


async def base_is_not_there(url: str, project: str) -> str:
    return await (nothing if url == "/bert" else anything)(url, project)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({**DATASET, "format": {"type": "xls"}}, "format.type"),
        ({**DATASET, "prepare": ["wash"]}, "prepare.0.wash"),
        ({**DATASET, "prepare": ["clean", {"split": {"share": 1}}]}, "prepare.1.split.share"),
        ({**MODEL, "task": "alchemy"}, "task"),
        ({**MODEL, "network": {"family": "web"}}, "network.family"),
        ({**MODEL, "network": {"family": "cnn", "width": 3}}, "network.width"),
        ({**MODEL, "require": {"luck": "> 0"}}, "require.luck"),
        ({**MODEL, "base": "/a", "network": {"family": "cnn", "hidden": 3}}, "network.hidden"),
        ({**MODEL, "network": None}, "network"),
        ({**MODEL, "network": None, "base": "dataset://d"}, "base"),
        ({**MODEL, "teacher": "digits"}, "teacher.model"),
        ({**MODEL, "train": {"adapter": {"lora": {}}}}, "train.adapter"),
        ({**MODEL, "train": {"epochs": 0}}, "train.epochs"),
        ({**MODEL, "task": "tabular-regression", "base": "/a", "require": {}}, "base"),
        ({**SERVICE, "balance": "dice"}, "balance"),
        ({**SERVICE, "engine": "steam"}, "engine"),
    ],
)
def test_a_plug_in_that_is_not_there_is_refused_at_its_field(document: dict[str, Any], field: str) -> None:
    stored = tuple(other for other in (DATASET, MODEL) if other["kind"] != document["kind"])
    assert refusal(document, stored=stored)[0] == field


def test_a_run_says_what_to_do_and_cannot_be_changed_once_asked_for() -> None:
    check(RUN)
    check(RUN, stored=(RUN,))
    check({**RUN, "cancelled": True}, stored=(RUN,))
    assert refusal({"kind": "run", "name": "r"})[0] == "command"
    assert refusal({**RUN, "stage": {"program": "train", "order": {}}})[0] == "stage"
    assert refusal({**RUN, "owner": "model/default/m"})[0] == "owner"
    assert refusal({**RUN, "priority": 1}, stored=(RUN,)) == (
        "name", "a run cannot be changed once it is asked for; delete it, or use another name",
    )  # fmt: skip


@pytest.mark.parametrize("odd", ["a\0b", "a\nb", "a\x1b[31mb"], ids=["NUL", "newline", "escape"])
def test_a_label_with_what_cannot_be_printed_is_refused(odd: str) -> None:
    with pytest.raises(Rejected, match="cannot be printed") as caught:
        check({**RUN, "labels": {"word": odd}})
    assert caught.value.field == "labels"


@pytest.mark.parametrize(
    ("source", "format", "field", "says"),
    [
        ("/d.csv", {"rows": "paragraph"}, "format.rows", "csv has no option 'rows'"),
        ("/d/*.csv.gz", {"names": "{label}"}, "format.names", "csv has no option 'names'"),
        (
            "https://h/d.jsonl?x=1#secret=s",
            {"header": False},
            "format.header",
            "jsonl has no option 'header'",
        ),
        ("/d.parquet", {"encoding": "cp1252"}, "format.encoding", "parquet has no option"),
        ("/d.zip", {"members": "*.tsv", "quote": "'"}, "format.quote", "tsv has no option 'quote'"),
        ("/d.bin", {"type": "images", "types": {"a": "int"}}, "format.types", "images has no option 'types'"),
        ("/d.csv", {"query": "select 1"}, "format.query", "files of csv are read"),
        ("/d.bin", {"type": "cvs"}, "format.type", "did you mean 'csv'"),
    ],
)
def test_an_option_that_the_format_has_no_use_for_is_refused_before_anything_runs(
    source: str, format: dict[str, Any], field: str, says: str
) -> None:
    found, message = refusal({**DATASET, "source": source, "format": format})
    assert found == field
    assert says in message


@pytest.mark.parametrize(
    ("source", "format"),
    [
        ("/d.csv.xz", {"separator": ";", "encoding": "cp1252"}),
        ("/d.zip", {"header": False}),
        ("/d/", {"names": "{label}_{speaker}"}),
        ({"train": "/d.txt", "test": "/d.csv"}, {"rows": "paragraph"}),
        ("sqlite:///d/file.db", {"query": "select 1"}),
    ],
)
def test_where_no_name_tells_a_format_its_options_are_left_to_the_run(
    source: Any, format: dict[str, Any]
) -> None:
    check({**DATASET, "source": source, "format": format})


COMPRESSED = {**MODEL, "require": {"accuracy": ">= 0.9"}}


@pytest.mark.parametrize(
    "compress",
    [
        {"quantize": "int8", "keep": 0.99},
        {"search": True},
        ["export"],
        [{"prune": 0.3}, {"quantize": {"bits": 8}}],
        [{"quantize": {"bits": 4}}, {"distil": {"network": {"family": "bert", "hidden": 16}}}],
        {"methods": [{"prune": {"share": 0.5, "epochs": 1}}, "quantize"], "keep": 0.9},
    ],
)
def test_a_model_may_be_compressed_in_any_of_these_words(compress: Any) -> None:
    check({**COMPRESSED, "compress": compress}, DATASET)


@pytest.mark.parametrize(
    ("compress", "field", "said"),
    [
        ({"quantise": "int8"}, "compress.quantise", "did you mean 'quantize'"),
        ({"quantize": {"bits": 7}}, "compress.quantize.bits", "8 or 4"),
        ({"quantize": {"bit": 8}}, "compress.quantize.bit", "bits"),
        ({"quantize": "int7"}, "compress", "int8, int4"),
        ({"quantize": "int8", "keep": 1.01}, "compress.keep", "less than or equal to 1"),
        ({"quantize": "int8", "keep": 0}, "compress.keep", "greater than 0"),
        ({"prune": {}}, "compress.prune", "'share'"),
        ({"prune": "much"}, "compress", "much"),
        ({"distil": {}}, "compress.distil", "'network'"),
        ({"distil": {"network": {}}}, "compress.distil.network.family", "required"),
        ({"distil": {"network": {"family": "brt"}}}, "compress.distil.network.family", "bert"),
        ({"distil": {"network": {"family": "mlp", "hiden": []}}}, "compress.distil.network.hiden", "hidden"),
        ({}, "compress", "a method is expected"),
        ([], "compress", "a method is expected"),
        ({"keep": 0.9}, "compress", "a method is expected"),
    ],
)
def test_compression_that_cannot_be_is_refused_at_once(compress: Any, field: str, said: str) -> None:
    found, message = refusal({**COMPRESSED, "compress": compress}, DATASET)
    assert found == field
    assert said in message


def test_compressing_needs_a_requirement_to_keep() -> None:
    found, message = refusal({**MODEL, "compress": ["export"]}, DATASET)
    assert found == "require"
    assert "nothing is" in message


def test_an_engine_is_refused_where_what_converts_for_it_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "installed", lambda names: {"torch": "2.0"})
    field, said = refusal({**SERVICE, "engine": "openvino-genai"}, MODEL, DATASET)
    assert field == "engine"
    assert said.startswith("openvino, openvino-tokenizers, transformers is not installed here")
    assert "modelhall[openvino]" in said


def test_what_no_engine_would_answer_by_is_not_compressed() -> None:
    texts = {**MODEL, "task": "text-generation", "require": {"perplexity": "<= 9"}, "compress": ["export"]}
    found, message = refusal(texts, DATASET)
    assert found == "compress"
    assert "text-generation" in message


FOUND = {"transformers": importlib.util.find_spec("transformers")}
"""The only library that is there: what is not installed of it is remembered for good."""


def test_what_compressing_needs_is_asked_for_when_it_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission.importlib.util, "find_spec", FOUND.get)
    found, message = refusal({**COMPRESSED, "compress": {"search": True}}, DATASET)
    assert found == "compress"
    assert "pip install modelhall[compress]" in message


def test_metrics_of_answers_are_for_tasks_that_answer() -> None:
    texts = {**MODEL, "task": "text-generation", "require": {"bleu": ">= 9"}}
    check(texts, DATASET)
    found, message = refusal({**texts, "task": "fill-mask"}, DATASET)
    assert found == "require.bleu"
    assert "fill-mask, which predicts tokens" in message


def test_what_a_metric_of_answers_needs_is_asked_for_when_it_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission.importlib.util, "find_spec", FOUND.get)
    texts = {**MODEL, "task": "text-generation", "require": {"chrf": ">= 9"}}
    found, message = refusal(texts, DATASET)
    assert found == "require.chrf"
    assert "pip install modelhall[text]" in message
