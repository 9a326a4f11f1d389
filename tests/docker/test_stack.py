"""The compose file of the whole stack and the manifests for Kubernetes, as files and as checked."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.commands import ROOT

DOCKER = ROOT / "docker"
SECRETS = ("keys.yaml", "postgres-password", "prometheus-key", "grafana-password")
COMPOSE = yaml.safe_load((DOCKER / "stack" / "compose.yaml").read_text())
MANIFESTS = [
    document
    for file in sorted((DOCKER / "kubernetes").glob("*.yaml"))
    if file.name != "kustomization.yaml"
    for document in yaml.safe_load_all(file.read_text())
]
PODS = {
    manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
    for manifest in MANIFESTS
    if "template" in manifest.get("spec", {})
}


def composed(name: str) -> dict:
    return COMPOSE["services"][name]


def test_every_pod_runs_without_rights_on_a_read_only_root():
    assert set(PODS) == {"fraud-ae", "postgres", "prometheus", "grafana"}
    for pod in PODS.values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "readinessProbe" in container
        assert {"requests", "limits"} == set(container["resources"])


def test_every_container_of_the_stack_runs_without_rights():
    for name in COMPOSE["services"]:
        assert composed(name)["cap_drop"] == ["ALL"]
        assert composed(name)["security_opt"] == ["no-new-privileges:true"]
        assert composed(name)["read_only"] is (name != "prometheus")
        for port in composed(name).get("ports", ()):
            assert port.startswith("127.0.0.1:")


def test_no_file_holds_a_secret():
    assert not [manifest for manifest in MANIFESTS if manifest["kind"] == "Secret"]
    variables = [
        variable
        for pod in PODS.values()
        for variable in pod["containers"][0].get("env", ())
        if "PASSWORD" in variable["name"] and not variable["name"].endswith("FILE")
    ]
    assert [variable["name"] for variable in variables] == ["PGPASSWORD"]
    assert "secretKeyRef" in variables[0]["valueFrom"]
    values = [
        value
        for service in COMPOSE["services"].values()
        for name, value in service.get("environment", {}).items()
        if "PASSWORD" in name or "KEY" in name
    ]
    assert len(values) == 4
    assert all(value.startswith("${") and ":?" in value for value in values)
    assert "/docker/kubernetes/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_files_that_are_mounted_are_there():
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            if volume.startswith("."):
                assert (DOCKER / "stack" / volume.partition(":")[0]).is_file(), volume


def test_policies_and_services_select_pods_that_there_are():
    selectors = [
        manifest["spec"]["selector"] for manifest in MANIFESTS if manifest["kind"] == "Service"
    ]
    selectors += [
        manifest["spec"]["podSelector"].get("matchLabels", {})
        for manifest in MANIFESTS
        if manifest["kind"] == "NetworkPolicy"
    ]
    assert len(selectors) == 9
    assert {selector.get("app") for selector in selectors} == {None, *PODS}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> list[dict]:
    """What kustomize makes of the manifests, with secrets."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl, which has kustomize, is not installed")
    copy = shutil.copytree(DOCKER, tmp_path_factory.mktemp("kustomize") / "docker")
    secrets: Path = copy / "kubernetes" / "secrets"
    secrets.mkdir(exist_ok=True)
    for name in SECRETS:
        (secrets / name).write_text("secret")
    text = subprocess.run(
        [kubectl, "kustomize", str(copy / "kubernetes")], capture_output=True, text=True, check=True
    ).stdout
    return list(yaml.safe_load_all(text))


@pytest.mark.scale
def test_kustomize_gives_pods_the_secrets_and_files_that_they_mount(built):
    names = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in built}
    mounted = set()
    for manifest in built:
        if "template" not in manifest.get("spec", {}):
            continue
        pod = manifest["spec"]["template"]["spec"]
        for volume in pod["volumes"]:
            if "secret" in volume:
                mounted.add(("Secret", volume["secret"]["secretName"]))
            if "configMap" in volume:
                mounted.add(("ConfigMap", volume["configMap"]["name"]))
    assert len(mounted) == 8
    assert mounted <= names
    boards = [m for m in built if m["metadata"]["name"].startswith("grafana-dashboards-")]
    assert json.loads(boards[0]["data"]["fraud_ae.json"])["uid"] == "fraud_ae"


@pytest.mark.scale
def test_the_manifests_keep_to_the_schemas_of_kubernetes(built):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    assert len(built) == 26
    for manifest in built:
        kubernetes_validate.validate(manifest, "1.37", strict=True)
    wrong = {**built[-1], "spec": {**built[-1]["spec"], "podSelektor": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)
