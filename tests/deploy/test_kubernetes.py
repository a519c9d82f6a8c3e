"""deploy/kubernetes: every overlay by the schemas of Kubernetes, and its figures against those of the server."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from asr_api.server.http_servers import LAST_REPLIES_S
from asr_api.settings.settings import Settings
from tests.test_docs import ROOT

FOLDER = ROOT / "deploy/kubernetes"
OVERLAYS = ("cpu", "gpu")
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is missing")


def read(path: str) -> Any:
    return yaml.safe_load((FOLDER / path).read_text(encoding="utf-8"))


DEPLOYMENT = read("base/deployment.yaml")
POD = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
SETTINGS = dict(
    text.partition("=")[::2] for text in read("base/kustomization.yaml")["configMapGenerator"][0]["literals"]
)


def build(folder: Path) -> dict[str, Any]:
    """Kind → resource."""
    command = ["kubectl", "kustomize", str(folder)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {resource["kind"]: resource for resource in yaml.safe_load_all(output)}


@pytest.mark.deploy
@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_valid_by_the_strict_schemas(overlay: str) -> None:
    import kubernetes_validate

    resources = build(FOLDER / "overlays" / overlay)
    assert resources.keys() == {"ConfigMap", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service"}
    for resource in resources.values():
        kubernetes_validate.validate(resource, "1.34", strict=True)
    labels = resources["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert resources["Service"]["spec"]["selector"].items() <= labels.items()
    assert resources["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.deploy
@needs_kubectl
def test_keda_takes_the_place_of_the_autoscaler(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    (own := tmp_path / "kubernetes/overlays/own").mkdir()
    (own / "kustomization.yaml").write_text("resources: [../cpu]\ncomponents: [../../components/keda]\n")
    resources = build(own)
    assert "HorizontalPodAutoscaler" not in resources
    assert resources["ScaledObject"]["spec"]["scaleTargetRef"]["name"] == resources["Deployment"]["metadata"]["name"]


@pytest.mark.deploy
@needs_kubectl
def test_every_replica_of_the_gpu_overlay_has_one_card() -> None:
    pod = build(FOLDER / "overlays/gpu")["Deployment"]["spec"]["template"]["spec"]
    resources = pod["containers"][0]["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"] == "1"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    assert pod["containers"][0]["image"] == "asr-api:latest-openai-whisper-large-v3"


def test_the_grace_period_is_longer_than_the_pause_and_the_drain() -> None:
    _, pause_s = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    needed_s = int(pause_s) + float(SETTINGS["SHUTDOWN_TIMEOUT_S"]) + LAST_REPLIES_S
    assert POD["terminationGracePeriodSeconds"] > needed_s


def test_the_probes_ask_what_the_server_has() -> None:
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert ports == {"http": 8000, "metrics": int(SETTINGS["METRICS_PORT"])}
    paths = {name: CONTAINER[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/hc", "readiness": "/hc", "liveness": "/livez"}
    annotations = DEPLOYMENT["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == SETTINGS["METRICS_PORT"]


def test_the_pod_is_as_restricted_as_the_standard_of_pods_asks() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["automountServiceAccountToken"] is False
    assert {mount["mountPath"] for mount in CONTAINER["volumeMounts"]} == {"/tmp", "/data"}


def test_the_variables_are_settings() -> None:
    assert {name.lower() for name in SETTINGS} <= Settings.model_fields.keys()
    assert SETTINGS["ALLOWED_LOCAL_MEDIA_PATH"] == ""


def test_both_autoscalers_ask_for_the_recorded_metric() -> None:
    rules = (ROOT / "deploy/monitoring/rules.yaml").read_text(encoding="utf-8")
    (recorded,) = re.findall(r"record: (\S+)", rules)
    (trigger,) = read("components/keda/scaled-object.yaml")["spec"]["triggers"]
    assert recorded in trigger["metadata"]["query"]
    (rule,) = read("prometheus-adapter.yaml")["rules"]["external"]
    assert rule["seriesQuery"] == recorded
    (metric,) = read("base/hpa.yaml")["spec"]["metrics"]
    assert metric["external"]["metric"]["name"] == rule["name"]["as"]
    assert metric["external"]["target"]["value"] == trigger["metadata"]["threshold"]
