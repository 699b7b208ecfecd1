"""What a hall serves, it has signed; and the key it signs with is nowhere but in its place."""

from __future__ import annotations

import pytest
from real_hall import RealHall

pytestmark = pytest.mark.e2e


def test_the_version_that_answers_is_signed_and_its_replicas_have_checked_it(hall: RealHall) -> None:
    signature = hall.get("model", "digits").status.accepted.signature
    assert signature is not None
    replicas = [run for run in hall.runs("serve", "service/default/digits") if run.status.state == "running"]
    assert replicas
    public = (hall.home / "keys" / "signing.pub").read_text()
    for run in replicas:
        assert (run.document.stage.order["signature"], run.document.stage.order["public_key"]) == (
            signature.artifact,
            public,
        )


def test_the_key_that_signs_is_in_no_file_but_its_own(hall: RealHall) -> None:
    path = hall.home / "keys" / "signing.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    secret = max(path.read_bytes().splitlines(), key=len)
    others = [other for other in hall.home.rglob("*") if other.is_file() and other != path]
    assert len(others) > 20
    assert [str(other) for other in others if secret in other.read_bytes()] == []
