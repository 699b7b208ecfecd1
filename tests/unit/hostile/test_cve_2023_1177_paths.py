"""CVE-2023-1177: MLflow gave out any file for a model whose source was a path that led elsewhere. Here neither a
digest, nor the list of an artifact's files, nor a word in a model's JSON is followed out of its folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import loading
import pytest
from watching import Unharmed

from modelhall.adapters.blobs import open_blobs
from modelhall.core import digest
from modelhall.core.errors import HallError, NotFound, Rejected

OUT = ["../../../../etc/passwd", "/etc/passwd", "..", "a/../../b", "blobs/../../x", "file:///etc/passwd"]


@pytest.mark.parametrize("name", [*OUT, "%2e%2e/x", "a" * 63, "A" * 64, "a" * 64 + "\0", "a" * 64 + "\n"])
def test_a_digest_that_is_a_path_names_no_blob(name: str, tmp_path: Path, unharmed: Unharmed) -> None:
    blobs = open_blobs(f"folder://{tmp_path}/blobs")
    with unharmed(), pytest.raises(NotFound):
        blobs.get_folder(name, tmp_path / "into")
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("path", OUT[:5])
def test_the_list_of_an_artifact_leads_nowhere_else(path: str, tmp_path: Path, unharmed: Unharmed) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "x").write_text("secret")
    blobs = open_blobs(f"folder://{tmp_path}/blobs")
    blobs.put_folder(made)
    listed = {"files": [{"path": path, "digest": digest.of_bytes(b"secret"), "size_bytes": 6}]}
    # A list that was made by hand, and stored under its right digest as any content is.
    (made / "x").write_text(json.dumps(listed))
    blobs.put_folder(made)
    with unharmed(), pytest.raises(HallError):
        blobs.get_folder(digest.of_bytes(json.dumps(listed).encode()), tmp_path / "into")
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("network.json", {"network": {"family": "../../evil"}, "shape": {}}),
        (
            "network.json",
            {"network": {"family": "os"}, "shape": {"head": "image-classification", "sizes": {}}},
        ),
        ("config.json", {"model_type": "../evil"}),
        ("config.json", {"_name_or_path": "/etc"}),
        ("config.json", {"transformers_weights": "../../../etc/passwd"}),
        ("config.json", {"auto_map": {"AutoConfig": "../evil.Config"}}),
        ("tokenizer.json", {"model": "../../vocab.txt"}),
    ],
)
def test_a_path_in_a_models_json_is_refused_and_not_followed(
    file: str, change: dict[str, Any], good: Path, tmp_path: Path, unharmed: Unharmed
) -> None:
    model = Path(shutil.copytree(good / "text", tmp_path / "text"))
    (model / file).write_text(json.dumps({**json.loads((model / file).read_text()), **change}))
    with unharmed(), pytest.raises(Rejected):
        loading.load_text_model(model)


def test_a_link_in_a_folder_is_not_stored(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "weights").symlink_to("/etc/passwd")
    with pytest.raises(HallError, match="no plain file"):
        open_blobs(f"folder://{tmp_path}/blobs").put_folder(made)
