"""Image, Compose, Kubernetes, systemd: what they say of the program is true of the program."""

import configparser
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml

from dni_allocator.app import App
from dni_allocator.cli.commands import app as commands
from dni_allocator.cli.running import REQUESTS_FINISH_WITHIN_S
from dni_allocator.settings import Settings
from dni_allocator.webhooks.ports import Pace
from tests.support import debian

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text("utf-8")
UNITS: Final = sorted((DEPLOY / "systemd").glob("*.service"))
COMMANDS: Final = set(typer.main.get_command(commands).commands)  # type: ignore[attr-defined]
VARIABLES: Final = {f"DNI_{name.upper()}" for name in Settings.model_fields} | {"DNI_SECRETS_DIR"}

Json = dict[str, Any]


def _loaded(*paths: Path) -> list[Json]:
    return [each for path in paths for each in yaml.safe_load_all(path.read_text("utf-8"))]


def _kubernetes() -> list[Json]:
    return _loaded(
        *(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.stem != "kustomization")
    )


def _of_kind(kind: str) -> list[Json]:
    return [each for each in _kubernetes() if each["kind"] == kind]


def _pods() -> Iterator[Json]:
    for each in _kubernetes():
        if each["kind"] in {"Deployment", "StatefulSet"}:
            yield each["spec"]["template"]


def _of_ours() -> Iterator[tuple[Json, Json]]:
    """Pod and container of everything that runs the program."""
    for pod in _pods():
        for container in pod["spec"]["containers"]:
            if container["image"] == "dni-allocator":
                yield pod, container


def _settings() -> dict[str, str]:
    (found,) = _of_kind("ConfigMap")
    return dict(found["data"])


# --- the image ---------------------------------------------------------------------------------


def test_the_image_copies_what_there_is() -> None:
    """A COPY of something that was moved would be noticed only where images are built."""
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]

    assert len(copied) > 3
    assert [source for source in copied if not (ROOT / source).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert {f"!{source}" for source in copied} <= set(ignored), "the build would not see it"


def test_the_image_runs_the_program_as_nobody_special() -> None:
    """Not as root; the check of its health asks a path there is."""
    last_stage = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    entry = re.search(r'^ENTRYPOINT \["(.+)"\]$', last_stage, re.MULTILINE)
    command = re.search(r'^CMD \["(\w+)"\]$', last_stage, re.MULTILINE)

    assert DOCKERFILE.count("\nFROM ") == 2
    assert re.search(r"^USER dni$", last_stage, re.MULTILINE)
    assert "HEALTHCHECK" in last_stage
    assert "/livez" in last_stage
    assert entry is not None
    assert entry[1] == "dni-allocator"
    assert command is not None
    assert command[1] in COMMANDS
    assert set(re.findall(r"\bDNI_\w+", last_stage)) <= VARIABLES


# --- compose -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def composed() -> Json:
    """Both files of Compose as one."""
    first, second = _loaded(ROOT / "compose.yaml", ROOT / "compose.monitoring.yaml")
    return {
        "services": {**first["services"], **second["services"]},
        "volumes": {**first["volumes"], **second["volumes"]},
        "secrets": second["secrets"],
    }


def test_compose_names_what_there_is(composed: Json) -> None:
    """Volumes, files, secrets, other services, commands, settings."""
    for name, service in composed["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), (name, source)
            else:
                assert source in composed["volumes"]
        assert set(service.get("secrets", ())) <= set(composed["secrets"])
        assert set(service.get("depends_on", ())) <= set(composed["services"])
        if service.get("image") == "dni-allocator":
            assert service["command"][0] in COMMANDS
            assert set(service["environment"]) <= VARIABLES


def test_compose_has_no_secret_of_its_own(composed: Json) -> None:
    """A password that is in a repository is nobody's secret."""
    for service in composed["services"].values():
        for variable, value in (service.get("environment") or {}).items():
            if re.search("KEY|PASSWORD|SECRET|TOKEN", variable):
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value), variable


def test_prometheus_scrapes_the_processes_of_compose(composed: Json) -> None:
    """Each on the port it listens on, with the key that is laid there."""
    (config,) = _loaded(DEPLOY / "prometheus" / "prometheus.yml")
    (job,) = config["scrape_configs"]
    targets = {name: each["port"] for each in job["dns_sd_configs"] for name in each["names"]}
    services = composed["services"]

    assert targets == {
        "serve": int(services["serve"]["ports"][0].rpartition(":")[2]),
        "forward": int(services["forward"]["environment"]["DNI_FORWARD_PORT"]),
    }
    (secret,) = services["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert (DEPLOY / "prometheus" / config["rule_files"][0]).is_file()


# --- Kubernetes --------------------------------------------------------------------------------


def test_every_manifest_is_applied() -> None:
    """None is forgotten in the list, none is listed that is not there."""
    (kustomization,) = _loaded(DEPLOY / "kubernetes" / "kustomization.yaml")

    there = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert set(kustomization["resources"]) == there - {"kustomization.yaml"}


def test_pods_run_commands_with_settings_that_exist() -> None:
    """A misspelt variable would be ignored, and noticed late."""
    for _, container in _of_ours():
        assert container["args"][0] in COMMANDS
        assert {each["name"] for each in container.get("env", ())} <= VARIABLES
    assert set(_settings()) <= VARIABLES


def test_probes_ask_paths_and_ports_that_answer() -> None:
    """Liveness does not depend on the store: a restart mends no broken Redis."""
    api = App(Settings(redis_url="redis://localhost")).api
    paths = set(api.openapi()["paths"])

    asked = 0
    for _, container in _of_ours():
        ports = {each["name"] for each in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                get = container[probe]["httpGet"]
                assert get["path"] in paths
                assert get["port"] in ports
                asked += 1
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert asked == 5


def test_pods_listen_where_the_manifests_say() -> None:
    """`serve` on the image's port, `forward` on the one it is told."""
    for _, container in _of_ours():
        (port,) = (each["containerPort"] for each in container["ports"])
        if container["args"][0] == "serve":
            assert f"DNI_PORT={port}" in DOCKERFILE
        else:
            assert {"name": "DNI_FORWARD_PORT", "value": str(port)} in container["env"]
    allowed = {
        each["port"]
        for policy in _of_kind("NetworkPolicy")
        for rule in policy["spec"]["ingress"]
        for each in rule["ports"]
    }
    listened = {
        each["containerPort"]
        for pod in _pods()
        for container in pod["spec"]["containers"]
        for each in container["ports"]
    }
    assert allowed == listened


def test_pods_have_time_to_drain() -> None:
    """SIGKILL comes after everything that a stop waits for."""
    drain_s = float(_settings()["DNI_DRAIN_S"])
    for pod, container in _of_ours():
        grace = pod["spec"]["terminationGracePeriodSeconds"]
        if container["args"][0] == "serve":
            (_, before) = container["lifecycle"]["preStop"]["exec"]["command"]
            assert grace >= float(before) + drain_s + REQUESTS_FINISH_WITHIN_S + 10
        else:
            assert grace >= Pace().stop_s + 10


def test_pods_may_do_no_more_than_they_need() -> None:
    """Restricted, by the words of the Pod Security Standards, and without a token."""
    for pod in _pods():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
    (user,) = set(re.findall(r"--uid (\d+)", DOCKERFILE))
    for pod, _ in _of_ours():
        assert pod["spec"]["securityContext"]["runAsUser"] == int(user)


def test_selectors_find_their_pods() -> None:
    """A budget or a service that selects nothing protects and reaches nothing."""
    labels = [pod["metadata"]["labels"] for pod in _pods()]

    def found(selector: Mapping[str, str]) -> int:
        return sum(selector.items() <= each.items() for each in labels)

    for each in _kubernetes():
        spec = each.get("spec", {})
        if each["kind"] == "Service":
            assert found(spec["selector"]) == 1, each["metadata"]
        elif each["kind"] in {"PodDisruptionBudget", "Deployment", "StatefulSet"}:
            assert found(spec["selector"]["matchLabels"]) == 1, each["metadata"]
        elif each["kind"] == "NetworkPolicy":
            assert found(spec["podSelector"]["matchLabels"]) > 0, each["metadata"]
        elif each["kind"] == "HorizontalPodAutoscaler":
            names = {deployment["metadata"]["name"] for deployment in _of_kind("Deployment")}
            assert spec["scaleTargetRef"]["name"] in names


def test_upgrades_take_no_pod_away_before_there_is_another() -> None:
    """Which is what the test of a rolling upgrade does."""
    for deployment in _of_kind("Deployment"):
        rolling = deployment["spec"]["strategy"]["rollingUpdate"]
        assert (rolling["maxSurge"], rolling["maxUnavailable"]) == (1, 0)


# --- systemd -----------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_units(unit: Path, tmp_path: Path) -> None:
    """As systemd itself says; on other systems there is none to ask."""
    text = unit.read_text("utf-8")
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names have capitals
    parser.read_string(text)
    service = parser["Service"]
    assert service["ExecStart"].split()[1] in COMMANDS
    assert int(service["TimeoutStopSec"]) >= 90
    assert service["KillMode"] == "mixed"
    assert set(re.findall(r"^Environment=.*?$", text, re.MULTILINE))
    assert set(re.findall(r"\bDNI_\w+(?==)", text)) <= VARIABLES
    if sys.platform != "linux":
        return
    if shutil.which("systemd-analyze") is None and debian.can_install():
        debian.install("systemd")
    here = tmp_path / unit.name
    here.write_text(text.replace("/opt/dni-allocator/bin/dni-allocator", sys.executable), "utf-8")

    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", here],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stderr) == (0, "")
