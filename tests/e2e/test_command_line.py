"""The command line against a real hall: what prints, what it exits with, and what programs can read of it."""

from __future__ import annotations

import json
import re
import threading
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from real_hall import RealHall, Said, said, until

from modelhall.version import __version__

pytestmark = pytest.mark.e2e


class Yaml12(yaml.SafeLoader):
    """As the hall and today's editors read it: `5e-3` is a number."""


Yaml12.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[0-9.]+e[-+]?[0-9]+"), list("0123456789.")
)

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/*/*.yaml"))


@pytest.fixture(scope="module")
def request_id(hall: RealHall, picture: bytes) -> str:
    with hall.client as client:
        return str(client.predict("digits", [picture])[0]["request"])


@pytest.mark.parametrize(
    "words",
    [
        ["get", "datasets"], ["get", "models"], ["get", "services"], ["get", "runs"], ["get", "nodes"],
        ["get", "projects"], ["get", "model", "digits"], ["get", "model", "digits@{version}"],
        ["describe", "dataset", "digits"], ["describe", "model", "digits"], ["describe", "service", "digits"],
        ["describe", "run", "{run}"], ["describe", "node", "local"], ["events"], ["events", "--limit", "2"],
        ["status"], ["top"], ["top", "--once"], ["why", "{run}"], ["why", "digits"], ["bill"],
        ["bill", "--by", "node"], ["alerts"],
        ["trace", "{request}"], ["predict", "digits", "{picture}"], ["apply", "-f", "{file}", "--dry-run"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_reading_command_prints_for_people_and_for_programs(
    hall: RealHall, request_id: str, picture: bytes, words: list[str]
) -> None:
    image, file = hall.home.parent / "picture.png", hall.home.parent / "hall.yaml"
    image.write_bytes(picture)
    known = {
        "run": hall.runs("train")[0].key.name,
        "version": hall.get("model", "digits").status.version[:8],
        "request": request_id,
        "picture": str(image),
        "file": str(file),
    }
    asked = [word.format(**known) for word in words]
    table, as_json, as_yaml = (hall.command(*asked, "-o", form) for form in ("table", "json", "yaml"))
    assert (table.code, as_json.code, as_yaml.code) == (0, 0, 0), (table.err, as_json.err, as_yaml.err)
    read = json.loads(as_json.out)
    assert shape(read) == shape(yaml.safe_load(as_yaml.out))
    assert as_json.out.count("\n") == 1
    # Of these there may be none, and that is said on the other channel.
    assert words in (["get", "projects"], ["alerts"]) or table.out.strip()
    assert "\x1b" not in table.out + as_json.out + as_yaml.out


def test_a_listed_resource_is_its_document_with_status_and_meta(hall: RealHall) -> None:
    (model,) = (
        m for m in json.loads(hall.command("get", "models", "-o", "json").out) if m["name"] == "digits"
    )
    assert (model["kind"], model["task"], model["status"]["state"]) == (
        "model",
        "image-classification",
        "ready",
    )
    assert model["meta"]["revision"] > 0


def test_a_prediction_names_the_label(hall: RealHall, picture: bytes) -> None:
    image = hall.home.parent / "one.png"
    image.write_bytes(picture)
    (answer,) = json.loads(hall.command("predict", "digits", str(image), "-o", "json").out)
    assert answer["label"] == max(answer["scores"], key=answer["scores"].get)
    assert re.fullmatch(r"[0-9a-f]+", answer["request"])


def test_run_shows_the_output_and_succeeds_with_the_command(hall: RealHall) -> None:
    done = hall_run(hall, "good", "print('hello')")
    assert (done.code, done.out) == (0, "hello\n")
    assert hall.command("logs", "good").out == "hello\n"
    assert hall.get("run", "good").status.attempt == 1


def test_run_fails_with_the_command(hall: RealHall) -> None:
    done = hall_run(hall, "bad", "import sys; print('oh'); sys.exit(3)")
    assert (done.code, done.out) == (1, "oh\n")
    assert done.complaints == ["hall: run bad failed: exit code 3"]


def test_a_program_that_is_not_there_is_the_callers_mistake(hall: RealHall) -> None:
    done = hall.command("run", "--name", "absent", "--cpus", "0", "--", "no-such-program")
    assert done.code == 2
    assert len(done.complaints) == 1
    assert "no-such-program" in done.complaints[0]


def test_logs_follow_a_run_to_its_end(hall: RealHall, tmp_path: Path) -> None:
    end = tmp_path / "end"
    program = (
        "import pathlib, time\nprint('first', flush=True)\n"
        f"while not pathlib.Path({str(end)!r}).exists(): time.sleep(0.02)\nprint('last')"
    )
    assert hall_run(hall, "slow", program, "-d").out == "slow\n"
    followed: list[Said] = []
    reader = threading.Thread(target=lambda: followed.append(hall.command("logs", "slow", "-f")))
    reader.start()
    until(lambda: hall.command("logs", "slow").out == "first\n", "its first words", every_s=0.5)
    assert followed == []
    end.touch()
    reader.join()
    assert (followed[0].code, followed[0].out) == (0, "first\nlast\n")


def test_why_says_what_a_queued_run_waits_for_and_what_is_ahead(hall: RealHall) -> None:
    cpus = f"{hall.get('node', 'local').status.cpus:g}"
    assert hall_run(hall, "hog", "import time; time.sleep(1000)", "-d", cpus=cpus).code == 0
    try:
        until(lambda: hall.get("run", "hog").status.state == "running", "the hog")
        assert hall_run(hall, "next", "0", "-d", cpus=cpus).code == 0
        assert hall_run(hall, "last", "0", "-d", cpus="1").code == 0
        until(lambda: hall.get("run", "last").status.reason, "a reason")
        told = json.loads(hall.command("why", "last", "-o", "json").out)
        assert (told["state"], told["ahead"]) == ("queued", ["next"])
        assert told["reason"].startswith("waits for 1 CPUs")
        assert f"node local has 0 of {cpus} CPUs free, used by hog" in told["reason"]
        assert "waits for 1 CPUs" in hall.command("why", "last").out
    finally:
        for name in ("last", "next", "hog"):
            assert hall.command("cancel", name).code == 0
    done = {hall.get("run", name).status.state for name in ("last", "next")}
    assert done <= {"queued", "cancelled"}
    until(
        lambda: {hall.get("run", n).status.state for n in ("hog", "next", "last")} == {"cancelled"},
        "their end",
    )


def test_what_no_machine_could_ever_run_is_refused_with_the_largest_there_is(hall: RealHall) -> None:
    done = hall_run(hall, "giant", "0", "-d", cpus="4000")
    assert done.code != 0
    assert "the largest node, local, has" in done.err


def test_top_shows_nodes_services_and_models_once(hall: RealHall) -> None:
    shown = hall.command("top", "--once").out
    for word in ("nodes", "local", "services", "digits", "models", "datasets"):
        assert word in shown


def test_the_version_and_the_commands_can_be_asked_for(hall: RealHall) -> None:

    assert said_out("--version") == f"hall {__version__}\n"
    for word in ("up", "apply", "get", "trace", "demo"):
        assert word in said_out("--help")


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_examples_are_right_by_the_printed_schema(file: Path) -> None:
    everything = json.loads(schema())
    documents = list(yaml.load_all(file.read_text(), Loader=Yaml12))
    assert documents
    for document in documents:
        assert problems(document, everything, everything) == []
        alone = json.loads(schema(document["kind"]))
        assert problems(document, alone, alone) == []
        assert problems({**document, "nme": "x"}, everything, everything)
        assert problems({**document, "name": 3}, everything, everything)


def hall_run(hall: RealHall, name: str, program: str, *options: str, cpus: str = "0") -> Said:
    return hall.command("run", "--name", name, "--cpus", cpus, *options, "--", "python", "-c", program)


@cache
def schema(*kinds: str) -> str:
    """As it is printed, of everything or of one kind."""
    return said_out("schema", *kinds)


def said_out(*words: str) -> str:
    done = said(list(words))
    assert done.code == 0, done.err
    return done.out


def shape(value: Any) -> Any:
    """What stays the same between two looks at a hall that is at work."""
    return list(value) if isinstance(value, dict) else type(value)


TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
    "null": type(None),
}  # fmt: skip


def problems(value: Any, schema: Any, root: Any, at: str = "") -> list[str]:
    """What is wrong with `value` by as much of JSON Schema as the hall's own schemas use."""
    if schema is True:
        return []
    if "$ref" in schema:
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return problems(value, found, root, at)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            tries = [problems(value, one, root, at) for one in schema[choice]]
            return [] if [] in tries else min(tries, key=len)
    told = []
    if "const" in schema and value != schema["const"]:
        told.append(f"{at}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        told.append(f"{at}: {value!r} is not among {schema['enum']}")
    if "type" in schema and not isinstance(value, TYPES[schema["type"]]):
        return [*told, f"{at}: {value!r} is not {schema['type']}"]
    if isinstance(value, dict):
        told += [f"{at}: lacks {name}" for name in schema.get("required", []) if name not in value]
        for name, inner in value.items():
            below = schema.get("properties", {}).get(name, schema.get("additionalProperties", True))
            told += [f"{at}: has {name}"] if below is False else problems(inner, below, root, f"{at}.{name}")
        if len(value) > schema.get("maxProperties", len(value)):
            told.append(f"{at}: holds too much")
    if isinstance(value, list):
        told += [
            line for item in value for line in problems(item, schema.get("items", True), root, f"{at}[]")
        ]
    return told
