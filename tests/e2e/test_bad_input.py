"""Mistakes people make: one clear line that names file, line and field, exit code 2, and nothing changed."""

from __future__ import annotations

import io
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image
from real_hall import COMMAND, RealHall, Said, environment, said

pytestmark = pytest.mark.e2e

DATA = "kind: dataset\nname: fresh\nsource: package://sklearn/datasets/data/digits.csv.gz\n"
MODEL = "kind: model\nname: fresh\ntask: image-classification\ndata: digits\nnetwork: {family: cnn}\n"
SERVICE = "kind: service\nname: fresh\nmodel: digits\n"


class Mistake(NamedTuple):
    text: str
    line: int | None
    field: str | None
    says: str


MISTAKES = {
    # Fields and their values.
    "an unknown field": Mistake(SERVICE + "replica: 2\n", 4, "replica", "did you mean 'replicas'?"),
    "an unknown inner field": Mistake(MODEL + "train:\n  epocs: 3\n", 7, "train.epocs", "did you mean 'epochs'?"),
    "an unknown kind": Mistake("kind: modle\nname: fresh\n", 1, "kind", "did you mean 'model'?"),
    "a kind nobody declares": Mistake("kind: node\nname: fresh\n", 1, "kind", "no kind 'node'; "),
    "no kind": Mistake("name: fresh\n", 1, "kind", "no kind is given; there is: "),
    "no name": Mistake("kind: dataset\nsource: x.csv\n", 1, "name", "required"),
    "a word for a number": Mistake(MODEL + "train: {epochs: many}\n", 6, "train.epochs", 'not "many"'),
    "a number in quotes": Mistake(MODEL + 'train: {epochs: "3"}\n', 6, "train.epochs", 'integer, not "3"'),
    "half a replica": Mistake(SERVICE + "replicas: 1.5\n", 4, "replicas", "not 1.5"),
    "a number too large": Mistake(SERVICE + "replicas: 1001\n", 4, "replicas", "less than or equal to 1000"),
    "a number beyond all numbers": Mistake(SERVICE + f"replicas: {'9' * 400}\n", 4, "replicas", "replicas"),
    "no number at all": Mistake(MODEL + "train: {learning_rate: .nan}\n", 6, "train.learning_rate", "not"),
    "a list for a mapping": Mistake(MODEL + "train: [3]\n", 6, "train", "not [3]"),
    "a list for a document": Mistake("- kind: model\n", 1, None, "a document is a mapping"),
    "an unknown optimizer": Mistake(MODEL + "train: {optimizer: adamm}\n", 6, "train.optimizer", "'adam'"),
    "a name not allowed": Mistake("kind: dataset\nname: My_Data\nsource: x\n", 2, "name", "lower-case letters"),
    "a requirement that compares nothing": Mistake(
        MODEL + "require: {accuracy: good}\n", 6, "require.accuracy", "write a comparison such as '>= 0.85'"
    ),
    # What there is.
    "an unknown task": Mistake(
        MODEL.replace("classification", "clasification"), 3, "task", "did you mean 'image-classification'?"
    ),
    "an unknown task like no other": Mistake(
        MODEL.replace("image-classification", "xyz"), 3, "task", "image-classification, next-sentence"
    ),
    "an unknown network": Mistake(MODEL.replace("cnn", "cnm"), 5, "network.family", "did you mean"),
    "an unknown network option": Mistake(
        MODEL.replace("cnn", "cnn, chanels: [8]"), 5, "network.chanels", "did you mean 'channels'?"
    ),
    "a network option of the wrong type": Mistake(
        MODEL.replace("cnn", "cnn, channels: 8"), 5, "network.channels", "list, not 8"
    ),
    "an unknown metric": Mistake(
        MODEL + "require: {acuracy: '>= 0.5'}\n", 6, "require.acuracy", "did you mean 'accuracy'?"
    ),
    "an unknown balance": Mistake(SERVICE + "balance: random\n", 4, "balance", "least-connections, least-latency"),
    "an unknown engine": Mistake(SERVICE + "engine: steam\n", 4, "engine", "openvino-genai, torch"),
    "an unknown format": Mistake(DATA + "format: {type: xls}\n", 4, "format.type", "csv, documents, images"),
    "an unknown step": Mistake(DATA + "prepare:\n  - clen\n", 5, "prepare.0.clen", "did you mean 'clean'?"),
    "an unknown step option": Mistake(
        DATA + "prepare:\n  - clean\n  - split: {tran: 1}\n", 6, "prepare.1.split.tran", "did you mean 'train'?"
    ),
    "a step option of the wrong type": Mistake(
        DATA + "prepare:\n  - split: {seed: x}\n", 5, "prepare.0.split.seed", "not 'x'"
    ),
    "a step that lacks an option": Mistake(
        DATA + "prepare:\n  - pixels: {shape: [8, 8]}\n", 5, "prepare.0.pixels", "needs the option 'columns'"
    ),
    "two steps in one": Mistake(
        DATA + "prepare:\n  - clean: {}\n    split: {}\n", 5, "prepare.0", "one name is expected"
    ),
    # What documents name.
    "data that is not there": Mistake(MODEL.replace("digits", "digit"), 4, "data", "did you mean 'digits'?"),
    "a model that is not there": Mistake(SERVICE.replace("digits", "ghost"), 3, "model", "no model 'ghost'"),
    "no reference": Mistake(SERVICE.replace("model: digits", "model: digits@new"), 3, "model", "name@3f2a"),
    "a project that is not there": Mistake(SERVICE + "project: nowhere\n", 4, "project", "no project 'nowhere'"),
    "one document twice": Mistake(f"{DATA}---\n{DATA}", 6, "name", "declared twice"),
    "a good document before a bad one": Mistake(f"{DATA}---\n{SERVICE}balance: x\n", 8, "balance", "no balance 'x'"),
    "a source that is not there": Mistake(DATA.replace("package://sklearn/datasets/data/digits.csv.gz", "no.csv"), 3,
                                          "source", "no.csv"),
    "a source that is not there for one split": Mistake(
        "kind: dataset\nname: fresh\nsource:\n  train: no.csv\n", 4, "source.train", "no.csv"
    ),
    "a split that is none": Mistake(
        "kind: dataset\nname: fresh\nsource:\n  tain: no.csv\n", 4, "source.tain", "'train', 'validation' or 'test'"
    ),
    "a source out of its package": Mistake(
        DATA.replace("datasets/data/digits.csv.gz", "../../etc/passwd"), 3, "source", "not package://"
    ),
    "a source of an unknown scheme": Mistake(
        DATA.replace("package://", "gopher://"), 3, "source", "no source 'gopher'; there is: duckdb, file"
    ),
    "a stage of one's own": Mistake(
        "kind: run\nname: fresh\nstage: {program: train, order: {}}\n", 3, "stage", "only the hall sets this"
    ),
    "a run without a command": Mistake("kind: run\nname: fresh\n", 1, "command", "a run needs a command"),
    # YAML.
    "no YAML": Mistake("kind: model\nname: [fresh\n", 3, None, "not YAML: "),
    "a key twice": Mistake(SERVICE + "model: digits\n", 4, None, "the key 'model' stands twice"),
    "a tag": Mistake(
        'kind: run\nname: fresh\ncommand: !!python/object/apply:os.system ["true"]\n', 3, None, "tags such as"
    ),
    "aliases that explode": Mistake(
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        None, None, "grows to more than 100000 values",
    ),
    "an alias of itself": Mistake("kind: &a [*a]\n", None, None, "grows to more than"),
    "an alias of nothing": Mistake("kind: *a\n", 1, None, "not YAML: found undefined alias"),
    "a level too deep": Mistake("kind: " + "[" * 60 + "]" * 60 + "\n", 1, None, "50 levels"),
    "depths without end": Mistake("kind: " + "[" * 2000 + "]" * 2000 + "\n", None, None, "not YAML: "),
    "a character YAML does not know": Mistake("kind: model\nname: \x01\n", None, None, "not YAML: "),
    "half a character": Mistake('kind: dataset\nname: fresh\nsource: "\\ud800.csv"\n', 1, None, "lone surrogate"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_hall_file_is_told_in_one_line_and_changes_nothing(
    hall: RealHall, mistake: Mistake
) -> None:
    before = declared(hall)
    done = hall.apply(mistake.text, "--wait", file="mistake.yaml")
    line = verdict(done)
    place = hall.home.parent / "mistake.yaml"
    where = f"{place}:{mistake.line}: " if mistake.line else f"{place}"
    assert line.startswith(f"hall: {where}" + (f"{mistake.field}: " if mistake.field else "")), line
    assert mistake.says in line
    assert declared(hall) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["apply", "-f", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["apply", "-f", "/"], "/: cannot be read"),
        (["get", "modles"], "did you mean 'model'?"),
        (["get", "model", "ghost"], "no model ghost"),
        (["get", "model", "digits@ffff"], "model digits has no version ffff"),
        (["describe", "model", "ghost"], "no model ghost"),
        (["delete", "model", "ghost"], "no model ghost"),
        (["delete", "dataset", "digits"], "dataset digits is used by "),
        (["cancel", "ghost"], "no run ghost"),
        (["logs", "ghost"], "no run ghost"),
        (["why", "ghost"], "no run ghost"),
        (["trace", "ghost"], "ghost"),
        (["bill", "--by", "colour"], "not by 'colour'"),
        (["predict", "ghost", "a text"], "no service 'ghost'"),
        (["predict", "digits", "a text"], "image"),
        (["predict", "digits", "nowhere.png"], "nowhere.png cannot be read"),
        (["get", "models", "-o", "xml"], "xml"),
        (["ge"], "ge"),
        (["schema", "thing"], "no kind 'thing'"),
        (["run", "--name", "Not A Name", "--", "true"], "name: 'Not A Name' is not a name"),
        (["run", "--cpus", "-1", "--", "true"], "resources.cpus: "),
        (["run", "--priority", "1001", "--", "true"], "priority: "),
        (["delete", "node", "local"], "a node is not declared by anybody"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_wrong_request_is_told_in_one_line_and_changes_nothing(
    hall: RealHall, words: list[str], says: str
) -> None:
    before = declared(hall)
    done = said(words) if words[0] in ("ge", "schema") else hall.command(*words)
    assert says in verdict(done)
    assert declared(hall) == before


def test_a_hall_file_that_is_not_utf_8_is_refused(hall: RealHall, tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes("kind: model\nname: größe\n".encode("latin-1"))
    assert f"{file}: cannot be read" in verdict(hall.command("apply", "-f", str(file)))


# Mistakes that only the work itself finds.


def late_mistakes(folder: Path) -> dict[str, Mistake]:
    """Hall files over data written to `folder`."""
    (folder / "texts.csv").write_text(
        "text,label\n" + "".join(f"word{n % 7} of text,{n % 2}\n" for n in range(40))
    )
    (folder / "odd.csv").write_text("text,label\nsome words,7\nother words,1\n")
    write_pictures(folder / "torn", damaged=4)
    data = "kind: dataset\nname: {name}\nsource: {source}\n"
    model = "---\nkind: model\nname: {name}\ntask: text-classification\ndata: {name}\n"
    return {
        "a column that is not there": Mistake(
            data.format(name="no-column", source="texts.csv")
            + model.format(name="no-column")
            + "columns: {text: review}\nnetwork: {family: bert, hidden: 16, layers: 1, heads: 2}\n",
            9, "columns.text", "no column 'review' in train; there is: text, label",
        ),
        "a label that training never saw": Mistake(
            data.format(name="odd-label", source="{train: texts.csv, test: odd.csv}")
            + model.format(name="odd-label")
            + "network: {family: bert, hidden: 16, layers: 1, heads: 2}\n",
            5, "columns.label", "test has the label '7' in 1 rows, which training never saw",
        ),
        "a network that cannot do the task": Mistake(
            data.format(name="no-head", source="texts.csv")
            + model.format(name="no-head")
            + "network: {family: cnn}\n",
            9, "network.family", "cnn has no head for",
        ),
        "an empty split": Mistake(
            data.format(name="no-rows", source="odd.csv")
            + "prepare:\n  - split: {train: 0.9, validation: 0, test: 0.1}\n",
            5, "prepare.0.split.test", "test is empty",
        ),
        "a step's column that is not there": Mistake(
            data.format(name="no-step-column", source="texts.csv") + "prepare:\n  - split: {stratify: lable}\n",
            5, "prepare.0.split.stratify", "no column 'lable'; did you mean 'label'?",
        ),
        "pictures damaged beyond the limit": Mistake(
            data.format(name="torn", source="torn") + "max_damaged: 0.1\n",
            4, "max_damaged", "4 of 20 pictures or sounds are damaged",
        ),
    }  # fmt: skip


LATE = (
    "a column that is not there",
    "a label that training never saw",
    "a network that cannot do the task",
    "an empty split",
    "a step's column that is not there",
    "pictures damaged beyond the limit",
)


@pytest.fixture(scope="module")
def late(hall: RealHall) -> dict[str, tuple[Path, Mistake, Said]]:
    """What `apply --wait` says of each; all at once, since each waits for a run."""
    folder = hall.home.parent / "late"
    folder.mkdir()
    mistakes = late_mistakes(folder)

    def told(item: tuple[int, Mistake]) -> tuple[Path, Mistake, Said]:
        number, mistake = item
        file = folder / f"{number}.yaml"
        file.write_text(mistake.text)
        return file, mistake, hall.command("apply", "-f", str(file), "--wait")

    with ThreadPoolExecutor(3) as pool:
        return dict(zip(mistakes, pool.map(told, enumerate(mistakes.values())), strict=True))


@pytest.mark.parametrize("name", LATE)
def test_a_mistake_that_only_the_work_finds_is_told_with_its_place_in_the_hall_file(
    late: dict[str, tuple[Path, Mistake, Said]], name: str
) -> None:
    file, mistake, done = late[name]
    line = verdict(done)
    assert line.startswith(f"hall: {file}:{mistake.line}: {mistake.field}: "), line
    assert mistake.says in line


def test_damaged_pictures_below_the_limit_are_left_out_counted_and_named(hall: RealHall) -> None:
    write_pictures(hall.home.parent / "scratched", damaged=1)
    text = "kind: dataset\nname: scratched\nsource: scratched\nmax_damaged: 0.1\n"
    assert hall.apply(text, "--wait", file="scratched.yaml").code == 0
    version = hall.get("dataset", "scratched").status.current
    assert version.rows == {"train": 19}
    described = hall.command("describe", "dataset", "scratched")
    assert "damaged 1" in described.out
    assert "black/0.png" in described.out


# The house itself.


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 7070\n", "hall.toml: no setting 'prot'; did you mean 'port'?"),
        ("port = \n", "hall.toml: not TOML: "),
        ('pue = "much"\n', "pue: "),
        ("pue = 0.5\n", "pue: "),
        ("port = 70000\n", "port: "),
        ('currency = "euros"\n', "currency: "),
        (
            'schedule = "lottery"\n',
            "schedule: no schedule 'lottery'; there is: backfill, conservative, fair, fifo, first-fit",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_keeps_the_hall_from_starting(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "hall.toml").write_text(text)
    done = said(["up", "--home", str(tmp_path), "--port", "0", "--gateway-port", "0"] if "port" not in text
                else ["up", "--home", str(tmp_path)])  # fmt: skip
    assert says in verdict(done)


def test_a_second_hall_in_the_same_home_is_refused_and_the_first_goes_on(hall: RealHall) -> None:
    done = hall.command("up", "--port", "0", "--gateway-port", "0")
    assert f"a hall is up in {hall.home} already" in verdict(done)
    assert hall.command("status").code == 0


@pytest.mark.parametrize("option", ["--port", "--gateway-port"])
def test_a_port_in_use_is_named(tmp_path: Path, option: str) -> None:
    ports = {"--port": "0", "--gateway-port": "0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports[option] = str(taken.getsockname()[1])
        words = [word for pair in ports.items() for word in pair]
        done = said(["up", "--home", str(tmp_path / "home"), *words])
    assert ports[option] in verdict(done)
    assert not (tmp_path / "home" / "hall.json").exists()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = verdict(said(["up", "--home", str(tmp_path / "file" / "home")]))
    assert f"the home {tmp_path / 'file' / 'home'} cannot be written" in line


@pytest.mark.parametrize("words", [["status"], ["get", "models"], ["logs", "x"], ["predict", "x", "y"]])
def test_without_a_hall_every_command_says_how_to_start_one(tmp_path: Path, words: list[str]) -> None:
    done = said([*words, "--home", str(tmp_path)])
    assert done.code == 1
    assert done.complaints == [f"hall: no hall is up in {tmp_path}; start one with `hall up`"]


def test_down_without_a_hall_is_no_mistake(tmp_path: Path) -> None:
    done = said(["down", "--home", str(tmp_path)])
    assert (done.code, done.out) == (0, f"no hall is up in {tmp_path}\n")


@pytest.mark.parametrize(
    "words", [["events", "-o", "json"], ["get", "runs"], ["logs", "{run}"]], ids=" ".join
)
def test_a_reader_who_goes_away_is_no_mistake(hall: RealHall, words: list[str]) -> None:
    run = hall.runs("evaluate")[0].key.name
    words = [*COMMAND, *(word.format(run=run) for word in words), "--home", str(hall.home)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


def verdict(done: Said) -> str:
    """The one line of a command that was asked something wrong."""
    assert done.code == 2, done
    assert "Traceback" not in done.err
    assert len(done.complaints) == 1, done.err
    assert done.err.rstrip("\n").endswith(done.complaints[0]), done.err
    return done.complaints[0]


def declared(hall: RealHall) -> dict[str, Any]:
    """All that is declared, with its generations."""
    kinds = ("project", "dataset", "model", "service", "run")
    with hall.client as client:
        return {str(r.key): (r.generation, r.deleting) for kind in kinds for r in client.all(kind)}


def write_pictures(folder: Path, *, damaged: int) -> None:
    """Twenty pictures of two classes, some of them cut off in the middle."""
    for number in range(20):
        buffer = io.BytesIO()
        Image.effect_noise((16, 16), 50).save(buffer, format="PNG")
        data = buffer.getvalue()
        path = folder / ("black" if number % 2 == 0 else "white") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[: len(data) // 2] if number < damaged else data)
