"""The Placement that Helm has put into the cluster of kubectl's current context."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from tenacity import RetryError, retry, retry_if_result, stop_after_delay, wait_fixed

POD_SCRIPT = Path("dev/load-pod.py")
TOKEN_SCRIPT = Path("placement-chart/files/ask.py")
COMPONENT = "app.kubernetes.io/component"
CONTAINER = "placement"
# What a pod that loads Placement has of Placement's own: its image, settings and Secrets.
SHARED_BY_PODS = (
    "automountServiceAccountToken",
    "enableServiceLinks",
    "imagePullSecrets",
    "nodeSelector",
    "securityContext",
    "serviceAccountName",
    "tolerations",
)
SHARED_BY_CONTAINERS = ("env", "envFrom", "image", "imagePullPolicy", "securityContext")
# How long the pod may take to start, and longer than its slowest request may take to end.
START_SECONDS = 60
CPU_UNITS = {"n": 1e-9, "u": 1e-6, "m": 1e-3}


class ClusterError(Exception):
    """What the cluster does not do, in one line."""


def cores(quantity: str) -> float:
    """Return a quantity of CPU, such as 250m, as a number."""
    unit = CPU_UNITS.get(quantity[-1])
    return float(quantity[:-1]) * unit if unit else float(quantity)


class Deployment:
    """The Deployment of a Helm release, and its Service."""

    def __init__(self, namespace: str, selector: str) -> None:
        """Find it, and see that it serves."""
        self.namespace = namespace
        found = self.objects(selector)
        if "Deployment" not in found:
            raise ClusterError(
                f"there is no deployment with {selector} in the namespace {namespace}:"
                " `make deploy` first, or say NAMESPACE=… HELM_RELEASE=…"
            )
        deployment, service = found["Deployment"], found["Service"]
        self.name = deployment["metadata"]["name"]
        self.url = f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
        self.selector = deployment["spec"]["selector"]["matchLabels"]
        self.template = deployment["spec"]["template"]
        self.cpu_target = cpu_target(found.get("HorizontalPodAutoscaler"))
        if not deployment["status"].get("readyReplicas"):
            raise ClusterError(
                f"the deployment {self.name} in the namespace {namespace} has no pod that is ready"
            )

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Return what kubectl says, or fail with the last line of its complaint."""
        command = ["kubectl", "--namespace", self.namespace, "--request-timeout=10s", *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError((done.stderr.strip().splitlines() or ["kubectl failed"])[-1])
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """Return what the cluster has."""
        return json.loads(self.kubectl("get", "--output=json", *arguments))

    def objects(self, selector: str) -> dict[str, Any]:
        """Return the objects with these labels by their kind, of which there is one each."""
        kinds = "deployments,services,horizontalpodautoscalers"
        found = self.get(kinds, "--selector", selector)["items"]
        return {item["kind"]: item for item in found}

    @property
    def container(self) -> dict[str, Any]:
        """The container that serves Placement."""
        containers = self.template["spec"]["containers"]
        return next(it for it in containers if it["name"] == CONTAINER)

    @property
    def cpu_request(self) -> float | None:
        """How many cores a pod asks for."""
        request = self.container.get("resources", {}).get("requests", {}).get("cpu")
        return cores(request) if request else None

    def replicas(self) -> dict[str, int]:
        """Return how many pods are wanted, by an autoscaler if there is one, and serve."""
        deployment = self.get("deployment", self.name)
        return {
            "desired": deployment["spec"]["replicas"],
            "ready": deployment["status"].get("readyReplicas", 0),
        }

    def cpu(self) -> dict[str, float]:
        """Return what the pods use of the CPU: all of them, and each on average of its request."""
        selector = quote(",".join(f"{name}={value}" for name, value in self.selector.items()))
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{self.namespace}/pods"
        pods = json.loads(self.kubectl("get", "--raw", f"{path}?labelSelector={selector}"))["items"]
        containers = [container for pod in pods for container in pod["containers"]]
        used = [cores(it["usage"]["cpu"]) for it in containers if it["name"] == CONTAINER]
        if not used:
            return {}
        usage = {"cpu_cores": round(sum(used), 3)}
        if self.cpu_request:
            usage["cpu_percent"] = round(100 * sum(used) / len(used) / self.cpu_request, 1)
        return usage

    @contextmanager
    def load(self, name: str, clients: int, seconds: int) -> Iterator[IO[str]]:
        """Run a Job that loads the Service, hand over its log, and leave nothing of it."""
        log = ["kubectl", "--namespace", self.namespace, "logs", "--follow", f"job/{name}"]
        try:
            self.kubectl(
                "create", "--filename=-", given=json.dumps(self.job(name, clients, seconds))
            )
            self.wait_for_start(name)
            with subprocess.Popen(
                log, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as process:
                try:
                    yield process.stdout
                finally:
                    process.terminate()
        finally:
            self.kubectl(
                "delete", "job", name, "--ignore-not-found", "--cascade=foreground", "--timeout=60s"
            )

    def job(self, name: str, clients: int, seconds: int) -> dict[str, Any]:
        """Return a Job made from the Deployment's own pods, but for the label of its Service."""
        spec, metadata = self.template["spec"], self.template["metadata"]
        # A claim may be there for one pod alone, and asking needs no database.
        volumes = [it for it in spec.get("volumes", []) if "persistentVolumeClaim" not in it]
        names = [volume["name"] for volume in volumes]
        mounts = [it for it in self.container.get("volumeMounts", []) if it["name"] in names]
        scripts = [path.read_text(encoding="utf-8") for path in (POD_SCRIPT, TOKEN_SCRIPT)]
        container = {
            **shared(self.container, SHARED_BY_CONTAINERS),
            "name": "load",
            "command": ["/opt/placement/bin/python3", "-Ic"],
            "args": [*scripts, self.url, str(clients), str(seconds)],
            "resources": {
                "requests": {"cpu": "100m", "memory": "64Mi"},
                "limits": {"memory": "256Mi"},
            },
            "volumeMounts": mounts,
        }
        pod = {
            **shared(spec, SHARED_BY_PODS),
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": volumes,
        }
        labels = {**metadata["labels"], COMPONENT: "load"}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "backoffLimit": 0,
                # Should nobody be left to delete it, it ends and goes all the same.
                "activeDeadlineSeconds": START_SECONDS + seconds + START_SECONDS,
                "ttlSecondsAfterFinished": START_SECONDS,
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }

    def wait_for_start(self, name: str) -> None:
        """Wait until the Job's pod runs."""

        @retry(
            stop=stop_after_delay(START_SECONDS),
            wait=wait_fixed(1),
            retry=retry_if_result(lambda phases: phases in ([], ["Pending"])),
        )
        def phases() -> list[str]:
            pods = self.get("pods", "--selector", f"batch.kubernetes.io/job-name={name}")["items"]
            return [pod["status"]["phase"] for pod in pods]

        try:
            phases()
        except RetryError as error:
            raise ClusterError(
                f"the load did not start within {START_SECONDS} s: {self.trouble(name)}"
            ) from error

    def trouble(self, name: str) -> str:
        """Return the last warning of the cluster about a Job and its pod."""
        warnings = self.get("events", "--field-selector=type=Warning", "--sort-by=.lastTimestamp")
        said = [
            event["message"]
            for event in warnings["items"]
            if event["involvedObject"]["name"].startswith(name)
        ]
        return said[-1] if said else "the cluster does not say why"


def shared(whole: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Return a part of something."""
    return {key: whole[key] for key in keys if key in whole}


def cpu_target(autoscaler: dict[str, Any] | None) -> int | None:
    """Return above how many percent of the request the autoscaler adds pods."""
    metrics = autoscaler["spec"]["metrics"] if autoscaler else []
    targets = [it["containerResource"]["target"] for it in metrics if "containerResource" in it]
    return next((target.get("averageUtilization") for target in targets), None)
