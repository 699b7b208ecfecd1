"""Plug-ins are found, and their options checked, from their files alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modelhall.core import plugins
from modelhall.core.errors import Broken, Rejected

LIGHT = """
import sys
from modelhall.core import plugins
from modelhall.core.errors import Rejected

for sort in plugins.PLACES:
    assert plugins.names(sort), sort
for sort, name, function, options in [
    ("network", "cnn", "build", {}), ("network", "bert", "build", {}), ("step", "clean", "apply", {}),
    ("task", "image-classification", "load", {}),
]:
    plugins.check(sort, name)
    try:
        plugins.check_options(sort, name, function, {"no_such_option": 1}, field=sort)
    except Rejected:
        pass
heavy = {"torch", "transformers", "polars", "numpy", "PIL", "sklearn"} & set(sys.modules)
loaded = [name for name in sys.modules if name.startswith(tuple(plugins.PLACES.values()))]
print(sorted(heavy), [name for name in loaded if name.count(".") > 1])
"""


def test_names_and_options_are_read_without_importing_a_plug_in_or_torch() -> None:
    said = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True)
    assert said.stderr == ""
    heavy, _ = said.stdout.split("]", 1)
    assert heavy == "["


def test_a_file_is_a_plug_in_and_its_name_is_written_with_dashes() -> None:
    assert {"least-connections", "round-robin"} <= set(plugins.names("balance"))
    assert {"accuracy", "f1_macro"} <= set(plugins.names("metric")), (
        "metrics keep the names they have elsewhere"
    )
    assert all(not name.startswith("-") for sort in plugins.PLACES for name in plugins.names(sort))
    assert plugins.names("schedule") == sorted(plugins.names("schedule"))


def test_what_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(Rejected, match="did you mean 'least-connections'") as caught:
        plugins.check("balance", "least-conections", field="balance")
    assert caught.value.field == "balance"
    with pytest.raises(Rejected, match="there is: backfill, conservative, fair"):
        plugins.load("schedule", "zzz")


def test_a_private_file_or_a_path_is_no_plug_in() -> None:
    for name in ("__init__", "-own", "_own", "..", "../cnn", "cnn.py", ""):
        with pytest.raises(Rejected, match="no network"):
            plugins.load("network", name)


def test_the_one_asked_for_is_the_one_imported() -> None:
    assert plugins.load("balance", "round-robin").__name__ == "modelhall.policy.balance.round_robin"


def test_the_scheme_of_a_url_names_the_plug_in() -> None:
    assert plugins.load_for_url("source", "package://x/y").__name__.endswith(".package")
    assert plugins.load_for_url("source", "data/a.csv", default="path").__name__.endswith(".path")
    with pytest.raises(Rejected, match="not a URL"):
        plugins.load_for_url("blobs", "/var/blobs")
    with pytest.raises(Rejected, match="no blobs 'ftp'"):
        plugins.load_for_url("blobs", "ftp://host", field="blobs")


def check(step: str, **options: object) -> None:
    plugins.check_options("step", step, plugins.STEP, options, field="prepare.0")


def test_options_that_fit_are_taken() -> None:
    check("clean", strip_html=True)
    check("split", train=0.8, test=0.2, seed=1)


@pytest.mark.parametrize(
    ("step", "options", "field", "said"),
    [
        ("clean", {"strip_htm": True}, "prepare.0.strip_htm", "did you mean 'strip_html'"),
        ("clean", {"strip_html": 1}, "prepare.0.strip_html", "boolean"),
        ("clean", {"strip_html": "yes"}, "prepare.0.strip_html", "not 'yes'"),
        ("split", {"seed": 1.5}, "prepare.0.seed", "integer"),
        ("split", {"seed": True}, "prepare.0.seed", "integer"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_their_field(
    step: str, options: dict[str, object], field: str, said: str
) -> None:
    with pytest.raises(Rejected, match=said) as caught:
        check(step, **options)
    assert caught.value.field == field


def test_an_option_without_a_default_is_required() -> None:
    required = [
        (name, parameters)
        for name in plugins.names("step")
        if (parameters := plugins._parameters(plugins._path("step", name, None), plugins.STEP))
        and any(parameter.required for parameter in parameters.values())
    ]
    for name, parameters in required:
        missing = next(option for option, parameter in parameters.items() if parameter.required)
        with pytest.raises(Rejected, match=f"needs the option {missing!r}"):
            check(name)


def test_a_plug_in_without_its_function_is_our_fault() -> None:
    with pytest.raises(Broken, match="defines no function 'fly'"):
        plugins.check_options("step", "clean", "fly", {}, field="x")


def test_a_function_is_given_those_options_that_it_takes() -> None:
    options = {"seed": 3, "stratify": "label"}
    assert plugins.options_for("step", "split", "mark", options) == {"stratify": "label"}
    assert plugins.options_for("step", "split", "decide", options) == options


@pytest.mark.parametrize("sort", ["step", "network"])
def test_the_options_of_every_plug_in_can_be_read(sort: str) -> None:
    function = {"step": plugins.STEP, "network": ("build",)}[sort]
    for name in plugins.names(sort):
        with pytest.raises(Rejected):
            plugins.check_options(sort, name, function, {"no_such_option": 1}, field=sort)
