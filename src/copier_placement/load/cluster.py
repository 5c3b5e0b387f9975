"""The Placement that Helm has deployed to a cluster."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any
from urllib.parse import quote

from tenacity import RetryError, retry, retry_if_result, stop_after_delay, wait_fixed

from ..errors import MaintenanceError

COMPONENT = "app.kubernetes.io/component"
CONTAINER = "placement"
# What the load test's pod shares with Placement's own pods: the image, settings and Secrets.
SHARED_BY_PODS = (
    "automountServiceAccountToken",
    "dnsConfig",
    "enableServiceLinks",
    "hostAliases",
    "imagePullSecrets",
    "nodeSelector",
    "runtimeClassName",
    "securityContext",
    "serviceAccountName",
    "tolerations",
)
SHARED_BY_CONTAINERS = ("env", "envFrom", "image", "imagePullPolicy", "securityContext")
# OpenSSL's variable for the CA certificates, with the path of the pods' own.
CA_FILE = ({"name": "SSL_CERT_FILE", "value": "/etc/placement/tls/ca.crt"},)
# A limit for the start of the pod, longer than the slowest request may take.
START_SECONDS = 60
CPU_UNITS = {"n": 1e-9, "u": 1e-6, "m": 1e-3}


def cores(quantity: str) -> float:
    """Return a Kubernetes quantity of CPU, such as 250m, in cores."""
    unit = CPU_UNITS.get(quantity[-1])
    return float(quantity[:-1]) * unit if unit else float(quantity)


class Deployment:
    """The Deployment of a Helm release, and its Service."""

    def __init__(self, context: str, namespace: str, selector: str) -> None:
        """Find both by their labels; refuse a Deployment without a ready pod."""
        self.namespace = namespace
        self.command = ["kubectl", "--context", context, "--namespace", namespace]
        found = self.objects(selector)
        if "Deployment" not in found:
            raise MaintenanceError(
                f"The namespace {namespace} has no Deployment with the labels {selector}.",
                "Run `make deploy` first, or set NAMESPACE=… HELM_RELEASE=…",
            )
        deployment, service = found["Deployment"], found["Service"]
        self.name = deployment["metadata"]["name"]
        self.url = url(service)
        self.selector = deployment["spec"]["selector"]["matchLabels"]
        self.template = deployment["spec"]["template"]
        self.cpu_target = cpu_target(found.get("HorizontalPodAutoscaler"))
        if not deployment["status"].get("readyReplicas"):
            raise MaintenanceError(
                f"The Deployment {self.name} in the namespace {namespace} has no ready pod.",
                f"Find the reason: kubectl --namespace {namespace} describe pods",
            )

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return its output, or fail with the last line of its error."""
        command = [*self.command, "--request-timeout=10s", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MaintenanceError((done.stderr.strip().splitlines() or ["kubectl failed"])[-1])
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """Run `kubectl get` and return the object or list."""
        return json.loads(self.kubectl("get", "--output=json", *arguments))

    def objects(self, selector: str) -> dict[str, Any]:
        """Return the objects with these labels by kind; the chart has one of each."""
        kinds = "deployments,services,horizontalpodautoscalers"
        found = self.get(kinds, "--selector", selector)["items"]
        return {item["kind"]: item for item in found}

    @property
    def container(self) -> dict[str, Any]:
        """The container that serves Placement."""
        containers = self.template["spec"]["containers"]
        return next(item for item in containers if item["name"] == CONTAINER)

    @property
    def cpu_request(self) -> float | None:
        """The CPU request of a pod, in cores."""
        request = self.container.get("resources", {}).get("requests", {}).get("cpu")
        return cores(request) if request else None

    def replicas(self) -> dict[str, int]:
        """Return the desired and the ready pods; an autoscaler may have set the first."""
        deployment = self.get("deployment", self.name)
        return {
            "desired": deployment["spec"]["replicas"],
            "ready": deployment["status"].get("readyReplicas", 0),
        }

    def cpu(self) -> dict[str, float]:
        """Return the CPU usage: of all pods in cores, and on average in percent of the request."""
        selector = quote(",".join(f"{name}={value}" for name, value in self.selector.items()))
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{self.namespace}/pods"
        pods = json.loads(self.kubectl("get", "--raw", f"{path}?labelSelector={selector}"))["items"]
        containers = [container for pod in pods for container in pod["containers"]]
        used = [cores(item["usage"]["cpu"]) for item in containers if item["name"] == CONTAINER]
        if not used:
            return {}
        usage = {"cpu_cores": round(sum(used), 3)}
        if self.cpu_request:
            usage["cpu_percent"] = round(100 * sum(used) / len(used) / self.cpu_request, 1)
        return usage

    @contextmanager
    def load(self, name: str, clients: int, seconds: int) -> Iterator[IO[str]]:
        """Run a Job that loads the Service, yield its log, and delete the Job."""
        log = [*self.command, "logs", "--follow", f"job/{name}"]
        try:
            job = json.dumps(self.job(name, clients, seconds))
            self.kubectl("create", "--filename=-", stdin=job)
            self.wait_for_start(name)
            with subprocess.Popen(
                log, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as process:
                assert process.stdout
                try:
                    yield process.stdout
                finally:
                    process.terminate()
        finally:
            self.kubectl(
                "delete", "job", name, "--ignore-not-found", "--cascade=foreground", "--timeout=60s"
            )

    def job(self, name: str, clients: int, seconds: int) -> dict[str, Any]:
        """Return a Job with the settings of the Deployment's pods, but not its Service's label."""
        spec, metadata = self.template["spec"], self.template["metadata"]
        # Only one pod may be able to mount a claim, and a client needs no database.
        volumes = [
            volume for volume in spec.get("volumes", []) if "persistentVolumeClaim" not in volume
        ]
        names = [volume["name"] for volume in volumes]
        mounts = [
            mount for mount in self.container.get("volumeMounts", []) if mount["name"] in names
        ]
        # A quota of the namespace may require a CPU limit.
        limits = shared(self.container.get("resources", {}).get("limits", {}), ("cpu",))
        container = {
            **shared(self.container, SHARED_BY_CONTAINERS),
            "name": "load",
            "env": [*self.container["env"], *(CA_FILE if self.url.startswith("https:") else ())],
            "args": ["load-test", self.url, str(clients), str(seconds)],
            "resources": {
                "requests": {"cpu": "100m", "memory": "64Mi"},
                "limits": {"memory": "256Mi", **limits},
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
                # The Job ends and is deleted even if this process cannot do it.
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
            raise MaintenanceError(
                f"The load did not start within {START_SECONDS} s: {self.last_warning(name)}"
            ) from error

    def last_warning(self, name: str) -> str:
        """Return the cluster's last warning about a Job and its pod."""
        warnings = self.get("events", "--field-selector=type=Warning", "--sort-by=.lastTimestamp")
        messages = [
            event["message"]
            for event in warnings["items"]
            if event["involvedObject"]["name"].startswith(name)
        ]
        return messages[-1] if messages else "the cluster reports no reason"


def url(service: dict[str, Any]) -> str:
    """Return the URL of a Service, with a name that its certificate can be valid for."""
    metadata, port = service["metadata"], service["spec"]["ports"][0]
    host = f"{metadata['name']}.{metadata['namespace']}.svc"
    return f"{port.get('appProtocol', 'http')}://{host}:{port['port']}"


def shared(whole: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Return the entries with these keys."""
    return {key: whole[key] for key in keys if key in whole}


def cpu_target(autoscaler: dict[str, Any] | None) -> int | None:
    """Return the CPU usage, in percent of the request, above which the autoscaler adds pods."""
    metrics = autoscaler["spec"]["metrics"] if autoscaler else []
    targets = [
        metric["containerResource"]["target"] for metric in metrics if "containerResource" in metric
    ]
    return next((target.get("averageUtilization") for target in targets), None)
