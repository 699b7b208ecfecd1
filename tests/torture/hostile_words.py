"""Hall files and requests that say more than they may."""

from __future__ import annotations

import json
from pathlib import Path

from hostile_parts import Made, Random, torn
from loading import HALL_FILE, picture, request


def yaml_that_does_more(chance: Random, folder: Path, canary: Path) -> Made:
    call = chance.choice(
        ["apply:os.system", "apply:os.unlink", "apply:builtins.eval", "new:subprocess.Popen", "name:os"]
    )
    lines = [
        "a0: &a0 [x, x, x, x]",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)),
    ]
    number = chance.choice(
        ["9" * 5000, "0x" + "f" * 100_000, "1e999999", "-.inf", ".nan", "0o" + "7" * 9000, "9" * 30]
    )
    depth = chance.choice([60, 1000, 100_000])
    about, text = chance.choice([
        ("a tag", f"{HALL_FILE}labels: !!python/object/{call} ['rm -f {canary}']\n"),
        ("a tag in a key", f"{HALL_FILE}? !!python/object/{call} ['rm -f {canary}']\n: x\n"),
        ("a tag of its own", f"%TAG ! tag:yaml.org,2002:python/\n---\n{HALL_FILE}labels: !object/{call} [x]\n"),
        ("laughs", "\n".join(lines)),
        ("merges", "a: &a {x: 1}\nb: &b {<<: [*a, *a, *a]}\n" + "c: {<<: *b}\n" * 20_000),
        ("an alias of itself", f"{HALL_FILE}labels: &a {{x: *a}}\n"),
        ("deep", "[" * depth),
        ("deep maps", "{a: " * depth),
        ("deep by dashes", "- " * depth + "x"), ("deep by lines", "\n".join(" " * n + "a:" for n in range(400))),
        ("a number", f"{HALL_FILE}max_damaged: {number}\n"),
        ("a number in a step", HALL_FILE.replace("true", number)),
        ("twice", HALL_FILE + "name: other\n"),
        ("many values", "[" + "a," * 500_000 + "]"),
        ("many documents", "---\n" * 200_000),
        ("many keys", "\n".join(f"k{n}: {n}" for n in range(120_000))),
        ("long", "#" * (5 << 20)),
        ("escapes", '"' + "\\x41" * 10**5 + '"'),
        ("no text", chance.randbytes(300).decode("latin-1")),
        ("half a character", HALL_FILE + 'labels: {a: "\\ud800"}\n'),
        ("an endless version", "%YAML 1." + "9" * 5000 + "\n---\na: 1\n"),
        ("anchors", "\n".join(f"- &a{n} x" for n in range(90_000))),
        ("torn", torn(chance, HALL_FILE.encode())[1].decode("latin-1")), ("a NUL", HALL_FILE + "labels: {a: \0}\n"),
    ])  # fmt: skip
    path = folder / "hall.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return about, path


def request_that_is_none(chance: Random, folder: Path, canary: Path) -> Made:
    whole = request(picture())
    (tensor,) = whole["inputs"]  # type: ignore[misc]
    odd = chance.choice(
        [None, [], {}, "x", -1, 2**70, 1e400, [2**40], ["x"] * 9, {"__reduce__": "os.system"}, "FP8"]
    )
    about, body = chance.choice([
        (f"{part} is {odd!r:.30}", json.dumps({"inputs": [{**tensor, part: odd}]}).encode())
        for part in ("name", "datatype", "shape", "data")
    ] + [
        ("deep data", b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ' + b"[" * 90_000),
        ("many rows", json.dumps({"inputs": [{**tensor, "shape": [10**9]}]}).encode()),
        ("not JSON", chance.randbytes(999)),
        ("torn", torn(chance, json.dumps(whole).encode())[1]),
        ("twice", b'{"inputs": 1, ' + json.dumps(whole).encode()[1:]),
        ("YAML", b"!!python/object/apply:os.system ['rm']"),
        ("XML", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        ("binary extension", json.dumps({"inputs": [{**tensor, "parameters": {"size": 2**60}}]}).encode()),
    ])  # fmt: skip
    (folder / "body").write_bytes(body)
    return about, folder / "body"
