"""Scaling: replicas, and the processes, threads and database connections of each."""

from __future__ import annotations

from .database import Database


class Scaling(Database):
    """Values that follow from the number of replicas."""

    @property
    def autoscaled(self) -> bool:
        """Whether a HorizontalPodAutoscaler sets the number of replicas."""
        return self.scaling == "autoscale"

    @property
    def processes(self) -> int:
        """Processes of each container; with two or more, SQLite fails: "database is locked".

        Source: measured, 28 to 290 errors in 4 s of writes for every shape except one process with
        one thread, which has none (docs/explanation/serving.md).
        """
        return 1 if self.sqlite else 2

    @property
    def threads(self) -> int:
        """Threads of each process; four hide the round trips to a remote database, ten cost."""
        return 1 if self.sqlite else 4

    @property
    def connections(self) -> int:
        """The largest number of database connections that this deployment opens."""
        most = self.autoscale_max if self.autoscaled else self.replicas
        return most * self.connections_per_pod

    @property
    def connections_of_rollout(self) -> int:
        """The largest number during a rollout, which adds a pod, and a Job with two of its own."""
        return self.connections + self.connections_per_pod + 2

    @property
    def connections_per_pod(self) -> int:
        """The largest number of database connections of one pod.

        Each thread has one, and the pool may open as many again (shared/entrypoint/server.py).
        """
        return self.processes * self.threads * 2

    @property
    def scale_title(self) -> str:
        """The number of replicas in words."""
        if self.sqlite:
            return "one process"
        if self.autoscaled:
            return f"{self.autoscale_min} to {self.autoscale_max} replicas"
        if self.replicas == 0:
            return "0 replicas (stopped)"
        return "1 replica" if self.replicas == 1 else f"{self.replicas} replicas"
