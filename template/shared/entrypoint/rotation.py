"""rotate-credential: a new application credential for Placement, in its Secret in Kubernetes."""

import json
import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import urllib3
from keystoneclient.v3.application_credentials import (
    ApplicationCredential,
    ApplicationCredentialManager,
)

from entrypoint import clouds, keystone, options
from entrypoint.errors import StartError
from entrypoint.registration import CREDENTIAL, OWNER, identity_client, report_refusals
from entrypoint.variables import AUTH_TYPE, whole_number

# How long a credential stays valid after its replacement, at least.
GRACE = timedelta(days=1)
# What a new credential replaces, and since when. Keystone does not store when it was created.
DESCRIPTION = "Replaces {} since {}"
# The ServiceAccount of a pod, and the address of Kubernetes for it.
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
KUBERNETES = "https://kubernetes.default.svc"


def rotate_credential(secret: str, days: str) -> None:
    """Create an application credential for DAYS, and write it to SECRET in Kubernetes."""
    lifetime = timedelta(days=whole_number("DAYS", days))
    config = options.load()
    strategy = config.api.auth_strategy
    section = keystone.section_of_login(config) if strategy == "keystone" else ""
    if not section or config[section].auth_type != CREDENTIAL:
        raise StartError(
            f"rotate-credential needs an application credential: set {AUTH_TYPE} to {CREDENTIAL}"
        )
    owner = clouds.load(OWNER)
    with report_refusals(owner, "use a login with a password"):
        user = str(owner.session.get_user_id())
        # Before Keystone has a new credential that nothing would use.
        patch_secret(secret, {}, dry_run=True)
        manager = identity_client(owner.session).application_credentials
        now = datetime.now(UTC).replace(microsecond=0)
        replaced = config[section].application_credential_id
        new = create_successor(manager, user, replaced, secret, now, lifetime)
        config.set_override("application_credential_id", new.id, section)
        config.set_override("application_credential_secret", new.secret, section)
        keystone.new_token(config)
        patch_secret(secret, {"id": new.id, "secret": new.secret})
        print(f"+ application credential {new.name}, which expires at {new.expires_at}", flush=True)
        delete_replaced(manager, user, new.id, now)
    print(f"ok: credential: the Secret {secret} has the id {new.id}. Restart the pods")


def create_successor(
    manager: ApplicationCredentialManager,
    user: str,
    replaced: str,
    prefix: str,
    now: datetime,
    lifetime: timedelta,
) -> ApplicationCredential:
    """Create a credential that expires, and note which one it replaces."""
    return manager.create(
        f"{prefix}-{now:%Y-%m-%dT%H-%M-%SZ}",
        user=user,
        description=DESCRIPTION.format(replaced, now.isoformat()),
        expires_at=now + lifetime,
    )


def delete_replaced(
    manager: ApplicationCredentialManager, user: str, current: str, now: datetime
) -> None:
    """Delete what the current credential and its predecessors replaced before the grace period."""
    found = {each.id: each for each in manager.list(user=user)}
    pattern = DESCRIPTION.format("(.+)", "(.+)")
    while replaced := re.fullmatch(pattern, found.pop(current).description or ""):
        current, since = replaced.groups()
        if current not in found:
            break
        if datetime.fromisoformat(since) < now - GRACE:
            manager.delete(current, user=user)
            print(f"- application credential {found[current].name}", flush=True)


def patch_secret(name: str, keys: dict[str, str], *, dry_run: bool = False) -> None:
    """Change keys of a Secret in the namespace of this pod, as its ServiceAccount."""
    try:
        namespace, token = ((ACCOUNT / each).read_text() for each in ("namespace", "token"))
    except OSError as error:
        raise StartError(
            f"{error.filename} cannot be read: run rotate-credential in a pod of Kubernetes"
        ) from error
    # Kubernetes' own clients accept a CA without the extensions that the strict check requires.
    context = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    url = f"{KUBERNETES}/api/v1/namespaces/{namespace}/secrets/{name}"
    content_type = "application/merge-patch+json"
    headers = {"authorization": f"Bearer {token}", "content-type": content_type}
    try:
        response = urllib3.PoolManager(ssl_context=context, timeout=clouds.TIMEOUT).request(
            "PATCH",
            f"{url}?dryRun=All" if dry_run else url,
            headers=headers,
            body=json.dumps({"stringData": keys}),
        )
    except urllib3.exceptions.HTTPError as error:
        raise StartError(f"PATCH {url} failed: {error}") from error
    if response.status != 200:
        reason = json.loads(response.data)["message"]
        raise StartError(f"Kubernetes refuses to change the Secret {name}: {reason}")
