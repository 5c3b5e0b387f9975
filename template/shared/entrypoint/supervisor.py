"""Process 1 of the container: it runs uWSGI and nginx, and ends when one of them ends.

nginx starts when the application has loaded, so a container that is not ready refuses connections.
On SIGTERM, nginx finishes the open requests before uWSGI ends.
"""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

# Requests that may wait for a free thread: uWSGI starts with no more than the kernel allows.
QUEUE = min(4096, int(Path("/proc/sys/net/core/somaxconn").read_text()))
UWSGI = ("/opt/placement/bin/uwsgi", "--ini", "/placement-uwsgi.ini", "--listen", str(QUEUE))
NGINX: tuple[str, ...] = ("/usr/sbin/nginx", "-e", "stderr", "-c", "/placement-nginx.conf")
if os.getuid() == 0:
    # Its worker would change to another user, who can open neither the socket nor the key.
    NGINX += ("-g", "user root;")
# application.py sends it when the application has loaded.
LOADED = signal.SIGUSR1
# The supervisor's process id, for application.py.
SUPERVISOR_VARIABLE = "ENTRYPOINT_SUPERVISOR"
STOP = (signal.SIGTERM, signal.SIGINT)
# Seconds. While uWSGI starts or reloads, it ignores SIGTERM for a moment.
REPEAT_STOP = 1
SIGNALS = (signal.SIGCHLD, LOADED, signal.SIGHUP, *STOP)


class Supervisor:
    """The two servers, as process ids; 0 is a server that does not run."""

    def __init__(self, uwsgi: int) -> None:
        """Take over uWSGI."""
        self.uwsgi = uwsgi
        self.nginx = 0
        self.is_stopping = False
        self.exit_code = 0

    def run(self) -> int:
        """Handle signals until both servers have ended, and return the exit code."""
        while self.uwsgi or self.nginx:
            received = signal.sigtimedwait(SIGNALS, REPEAT_STOP)
            number = received.si_signo if received else None
            if number == signal.SIGCHLD:
                self.reap()
            elif number in STOP:
                self.is_stopping = True
                send(self.nginx, signal.SIGQUIT)
            elif number == signal.SIGHUP and self.nginx:
                send(self.uwsgi, signal.SIGHUP)
            elif number == LOADED and not self.nginx and not self.is_stopping:
                self.nginx = start(NGINX)
            if self.is_stopping and not self.nginx:
                send(self.uwsgi, signal.SIGTERM)
        return self.exit_code

    def reap(self) -> None:
        """Forget each process that has ended. If it was a server, the other one must end too."""
        while (ended := next_ended()) is not None:
            pid, code = ended
            if pid == self.nginx:
                self.nginx = 0
                self.exit_code = self.exit_code if self.is_stopping else 1
                self.is_stopping = True
            elif pid == self.uwsgi:
                self.uwsgi = 0
                self.exit_code = self.exit_code or code
                self.is_stopping = True
                send(self.nginx, signal.SIGTERM)


def start(command: tuple[str, ...]) -> int:
    """Start a process that receives all signals."""
    return os.posix_spawn(command[0], command, os.environ, setsigmask=())


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a server that runs."""
    if pid:
        os.kill(pid, number)


def next_ended() -> tuple[int, int] | None:
    """Return the id and the exit code of a process that has ended, also of an orphan."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    code = os.waitstatus_to_exitcode(status)
    return (pid, code if code >= 0 else 128 - code) if pid else None


def supervise() -> NoReturn:
    """Start uWSGI, and become its supervisor.

    A new Python needs less memory than this one. It starts while uWSGI loads Placement, and the
    kernel keeps the signals that arrive until then.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    os.environ[SUPERVISOR_VARIABLE] = str(os.getpid())
    uwsgi = start(UWSGI)
    os.execv(sys.executable, [sys.executable, "-I", "-m", "entrypoint.supervisor", str(uwsgi)])


if __name__ == "__main__":
    sys.exit(Supervisor(int(sys.argv[1])).run())
