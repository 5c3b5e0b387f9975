"""Run podman-compose, and keep the passwords of .env out of the arguments of podman.

`ps` shows the arguments of every process to every user of this host. podman-compose passes each
variable of a container as `-e NAME=VALUE`. With `-e NAME`, podman takes the value from its own
environment, which only its user can read.
"""

import asyncio
import os
import sys
from typing import Any

import podman_compose
from dotenv import dotenv_values

start = asyncio.create_subprocess_exec


async def start_without_secrets(*command: str, **options: Any) -> asyncio.subprocess.Process:
    """Start a process with the secret variables of its arguments in its environment instead."""
    secrets = [value for value in dotenv_values(".env").values() if value]
    arguments: list[str] = []
    environment = dict(os.environ)
    for argument in command:
        name, _, value = argument.partition("=")
        is_secret = arguments[-1:] == ["-e"] and any(secret in value for secret in secrets)
        if is_secret:
            environment[name] = value
        arguments.append(name if is_secret else argument)
    return await start(*arguments, env=environment, **options)


if __name__ == "__main__":
    podman_compose.asyncio.create_subprocess_exec = start_without_secrets
    sys.exit(podman_compose.main())
