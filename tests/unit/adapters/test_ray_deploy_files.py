"""The files in `deploy/ray` have what KubeRay and Kubernetes need, and fit together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelhall.settings import Settings, load

FOLDER = Path(__file__).parents[3] / "deploy" / "ray"
AUTH_SINCE = (2, 52)
"""The first Ray whose clusters KubeRay gives a token."""


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


@pytest.fixture
def cluster() -> dict[str, Any]:
    (found,) = documents("cluster.yaml")
    return found


@pytest.fixture
def hall() -> dict[str, Any]:
    _, found = documents("hall.yaml")
    return found


def containers(group: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = group["template"]["spec"]["containers"]
    return found


def test_the_cluster_is_one_that_kuberay_takes(cluster: dict[str, Any]) -> None:
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    spec = cluster["spec"]
    assert tuple(int(part) for part in spec["rayVersion"].split(".")[:2]) >= AUTH_SINCE
    assert spec["authOptions"] == {"mode": "token"}
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values()), "they are flags"
        (container,) = containers(group)
        assert container["resources"]["limits"] == container["resources"]["requests"]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert {port["name"]: port["containerPort"] for port in containers(groups[0])[0]["ports"]} == {
        "gcs-server": 6379, "client": 10001,
    }  # fmt: skip
    for group in spec["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        (container,) = containers(group)
        volumes = {volume["name"] for volume in group["template"]["spec"]["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_all_pods_have_one_image_and_its_ray_is_the_one_that_is_declared(
    cluster: dict[str, Any], hall: dict[str, Any]
) -> None:
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"], hall["spec"]]
    assert len({container["image"] for group in groups for container in containers(group)}) == 1
    base = re.search("^FROM rayproject/ray:([0-9.]+)-", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    assert base is not None
    assert base[1] == cluster["spec"]["rayVersion"]


def test_the_hall_finds_the_cluster_with_the_token_that_the_operator_makes(
    cluster: dict[str, Any], hall: dict[str, Any], tmp_path: Path
) -> None:
    (container,) = containers(hall["spec"])
    said = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    settings = load({**said, "MODELHALL_HOME": str(tmp_path)})
    name = cluster["metadata"]["name"]
    assert settings.ray == f"ray://{name}-head-svc:10001"
    ours = {name.removeprefix("MODELHALL_").lower() for name in said if name.startswith("MODELHALL_")}
    assert ours <= Settings.model_fields.keys()
    (token,) = (one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one)
    assert token == {"name": name, "key": "auth_token"}
    assert said["RAY_AUTH_MODE"] == "token"


def test_the_nodes_reach_the_hall_by_the_name_of_its_service(hall: dict[str, Any]) -> None:
    service, _ = documents("hall.yaml")
    assert service["spec"]["selector"] == hall["spec"]["template"]["metadata"]["labels"]
    assert hall["spec"]["serviceName"] == service["metadata"]["name"]
    (container,) = containers(hall["spec"])
    said = {one["name"]: one.get("value") for one in container["env"]}
    port = next(port["port"] for port in service["spec"]["ports"] if port["name"] == "api")
    assert said["MODELHALL_RAY_HALL"] == f"https://{service['metadata']['name']}:{port}"
    volumes = {volume["name"] for volume in hall["spec"]["template"]["spec"]["volumes"]}
    claimed = {claim["metadata"]["name"] for claim in hall["spec"]["volumeClaimTemplates"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes | claimed
