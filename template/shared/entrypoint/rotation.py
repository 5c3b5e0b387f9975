"""rotate-credential: a new application credential for Placement, in its Secret in Kubernetes."""

import json
import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import urllib3
from keystoneauth1 import exceptions
from keystoneclient.v3.application_credentials import (
    ApplicationCredential,
    ApplicationCredentialManager,
)
from oslo_config import cfg

from entrypoint import clouds, keystone, options
from entrypoint.errors import StartError, one_line
from entrypoint.registration import CREDENTIAL, OWNER, identity_client, report_refusals
from entrypoint.variables import variable_of, whole_number

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
    options.require_keystone(config, "rotate-credential")
    section = keystone.section_of_login(config)
    replaced = getattr(config[section], "application_credential_id", None)
    if config[section].auth_type != CREDENTIAL or not replaced:
        raise StartError(
            "rotate-credential needs an application credential with an id: set"
            f" {variable_of(section, 'auth_type')} to {CREDENTIAL}, and"
            f" {variable_of(section, 'application_credential_id')}"
        )
    owner = clouds.load(OWNER)
    with report_refusals(owner, "use a login with a password"):
        manager = identity_client(owner.session).application_credentials
        user = str(owner.session.get_user_id())
        old = owned_credential(manager, user, owner, replaced)
        # Keystone should have no new credential if it cannot be written.
        patch_secret(secret, {"id": old.id, "secret": "not written"}, dry_run=True)
        now = datetime.now(UTC).replace(microsecond=0)
        new = create_successor(manager, user, old, secret, now, lifetime)
        require_login(config, section, new)
        patch_secret(secret, {"id": new.id, "secret": new.secret})
        print(f"+ application credential {new.name}, which expires at {new.expires_at}")
        print(
            f"ok: credential: the Secret {secret} has the id {new.id}. Restart the pods", flush=True
        )
        delete_replaced(manager, user, new, now)


def owned_credential(
    manager: ApplicationCredentialManager, user: str, owner: clouds.Cloud, name: str
) -> ApplicationCredential:
    """Return the credential with this id, which the owner must have in the project of its login."""
    where = f"of the cloud {owner.name}"
    try:
        found = manager.get(name, user=user)
    except exceptions.NotFound as error:
        message = f"the user {where} has no application credential {name}: use its owner's login"
        raise StartError(message) from error
    if found.project_id != owner.session.get_project_id():
        raise StartError(
            f"the application credential {found.name} is for the project {found.project_id}:"
            f" correct the project {where}"
        )
    return found


def create_successor(
    manager: ApplicationCredentialManager,
    user: str,
    old: ApplicationCredential,
    prefix: str,
    now: datetime,
    lifetime: timedelta,
) -> ApplicationCredential:
    """Create a credential with the same roles that expires, and note which one it replaces."""
    return manager.create(
        f"{prefix}-{now:%Y-%m-%dT%H-%M-%SZ}",
        user=user,
        description=DESCRIPTION.format(old.id, now.isoformat()),
        expires_at=now + lifetime,
        roles=[role["id"] for role in old.roles],
        access_rules=[{"id": rule["id"]} for rule in getattr(old, "access_rules", [])] or None,
    )


def require_login(config: cfg.ConfigOpts, section: str, new: ApplicationCredential) -> None:
    """Log in with the new credential as Placement will do."""
    config.set_override("application_credential_id", new.id, section)
    config.set_override("application_credential_secret", new.secret, section)
    try:
        keystone.new_token(config)
    except exceptions.ClientException as error:
        raise StartError(
            f"Keystone refuses the new application credential {new.name}: {error}."
            f" Correct {variable_of(section, 'auth_url')}, and delete this credential"
        ) from error


def delete_replaced(
    manager: ApplicationCredentialManager, user: str, new: ApplicationCredential, now: datetime
) -> None:
    """Delete what the new credential and its predecessors replaced before the grace period."""
    pattern = DESCRIPTION.format("(.+)", "(.+)")
    current = new
    try:
        found = {each.id: each for each in manager.list(user=user)}
        while replaced := re.fullmatch(pattern, current.description or ""):
            old, since = replaced.groups()
            if old not in found:
                break
            current = found.pop(old)
            if datetime.fromisoformat(since) < now - GRACE:
                manager.delete(current, user=user)
                print(f"- application credential {current.name}", flush=True)
    except exceptions.ClientException as error:
        # The next rotation tries again.
        print(one_line(f"warning: credential: a replaced one was not deleted: {error}"))


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
        message = f"PATCH {url} failed: {error}. Allow connections to the API of Kubernetes"
        raise StartError(message) from error
    if response.status != 200:
        reason = response.data.decode(errors="replace")
        raise StartError(f"Kubernetes refuses to change the Secret {name}: {reason}")
