"""register: what Keystone should know about Placement, added or changed but never deleted."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from keystoneauth1 import exceptions, identity, plugin
from keystoneauth1.session import Session
from keystoneclient.v3.client import Client
from oslo_config import cfg

from entrypoint import clouds, keystone, options
from entrypoint.client import base_url
from entrypoint.errors import StartError, TemporaryError
from entrypoint.variables import ENDPOINTS, variable_of, where

# Placement itself needs only service. A policy of the operator's own may require admin.
ROLES = ("admin", "service")
# The cloud of the user who owns Placement's application credential.
OWNER = "placement"
# The type of a login with an application credential.
CREDENTIAL = "v3applicationcredential"


class User(NamedTuple):
    """A user of Placement's, as options and clouds.yaml describe it."""

    username: str
    password: str
    user_domain_name: str
    project_name: str
    project_domain_name: str


class Wanted(NamedTuple):
    """What Keystone should have."""

    region: str
    # The URL of each interface.
    endpoints: dict[str, str]
    # None for an application credential of a user that already exists.
    user: User | None


def register(dry_run: str = "") -> None:
    """Register Placement in Keystone as the administrator in clouds.yaml, and print each change."""
    config = options.load()
    options.require_keystone(config, "register")
    wanted = Wanted(region(config), endpoints(), user(config))
    admin = clouds.load()
    with report_refusals(admin, "use an administrator of Keystone"):
        changes = Registration(config, admin, wanted).run()
        if changes and not dry_run:
            Registration(config, admin, wanted, write=True).run()
            if rest := Registration(config, admin, wanted).run():
                raise StartError(f"{at(admin)} has not stored: {', '.join(rest)}")
        warn_about_nova(identity_client(admin.session))
    if dry_run:
        print("".join(f"{change}\n" for change in changes), end="")
    print(f"ok: registration: {'to change' if dry_run else 'changed'}: {len(changes)}")


def at(cloud: clouds.Cloud) -> str:
    """Return what names the Keystone of a cloud."""
    return f"Keystone at {cloud.auth['auth_url']}"


@contextmanager
def report_refusals(cloud: clouds.Cloud, needed: str) -> Iterator[None]:
    """Report what Keystone refuses; `needed` says what to do if it forbids a request."""
    try:
        yield
    except exceptions.Unauthorized as error:
        message = f"{at(cloud)} refuses the cloud {cloud.name}: {error}. Correct it"
        raise StartError(message) from error
    except exceptions.Forbidden as error:
        message = f"{at(cloud)} forbids a request of {cloud.name}: {error}: {needed}"
        raise StartError(message) from error
    except exceptions.ClientException as error:
        if keystone.is_transient(error):
            raise TemporaryError(f"{at(cloud)} does not answer: {error}") from error
        raise StartError(f"{at(cloud)} refuses a request: {error}") from error


def warn_about_nova(client: Client) -> None:
    """Warn if Nova's user may not send requests to /reshaper: only the role service may."""
    for nova in client.users.list(name="nova"):
        found = client.role_assignments.list(user=nova, effective=True, include_names=True)
        if "service" not in {assignment.role["name"] for assignment in found}:
            print("warning: role: the user nova lacks the role service, which it needs to reshape")


def region(config: cfg.ConfigOpts) -> str:
    """Return the region of the endpoints."""
    if found := config[options.KEYSTONE_GROUP].region_name:
        return str(found)
    raise StartError(f"{variable_of(options.KEYSTONE_GROUP, 'region_name')} is not set: set it")


def endpoints() -> dict[str, str]:
    """Return the URL of each interface that has one."""
    urls = {interface: os.environ.get(name) for interface, name in ENDPOINTS.items()}
    if found := {interface: base_url(url) for interface, url in urls.items() if url}:
        return found
    raise StartError(f"Placement's URLs are not set: set {', '.join(ENDPOINTS.values())}")


def user(config: cfg.ConfigOpts) -> User | None:
    """Return the user of Placement's login, or the owner of its application credential."""
    section = keystone.section_of_login(config)
    if config[section].auth_type == CREDENTIAL:
        if not clouds.has(OWNER):
            return None
        cloud = clouds.load(OWNER)
        names = {field: f"auth.{field} of the cloud {OWNER}" for field in User._fields}
        values = {field: cloud.auth.get(field, "") for field in names}
    else:
        names = {field: variable_of(section, field) for field in User._fields}
        values = {field: getattr(config[section], field, "") for field in names}
    for field, value in values.items():
        if not value:
            raise StartError(f"{names[field]} is not set: set it")
    return User(**values)


def identity_client(session: Session) -> Client:
    """Return a client of Keystone, at the URL of the login: the catalog may have no other."""
    return Client(session=session, interface=plugin.AUTH_INTERFACE)


class Registration:
    """A comparison of Keystone with what it should have; with `write`, it makes each change."""

    def __init__(
        self, config: cfg.ConfigOpts, admin: clouds.Cloud, wanted: Wanted, *, write: bool = False
    ) -> None:
        """Log in lazily, with the first request."""
        self.config = config
        self.admin = admin
        self.wanted = wanted
        self.write = write
        self.keystone = identity_client(admin.session)
        self.changes: list[str] = []

    def run(self) -> list[str]:
        """Compare everything, and return the changes."""
        self.require_region()
        self.ensure_endpoints()
        if self.wanted.user:
            self.ensure_user(self.wanted.user)
        self.ensure_credential()
        return self.changes

    def change(self, text: str, function: Callable[..., Any], *given: Any, **fields: Any) -> Any:
        """Note a change, and make it with `write`."""
        self.changes.append(text)
        if not self.write:
            return None
        result = function(*given, **fields)
        print(text, flush=True)
        return result

    def ensure(self, text: str, manager: Any, new: dict[str, str], **fields: Any) -> Any:
        """Return what has these fields, or create it. Nothing has a parent that does not exist."""
        found = [] if None in fields.values() else manager.list(**fields)
        return found[0] if found else self.change(f"+ {text}", manager.create, **fields, **new)

    def require_region(self) -> None:
        """Refuse a region that Keystone does not have."""
        regions = sorted(region.id for region in self.keystone.regions.list())
        if self.wanted.region not in regions:
            others = f", only {', '.join(regions)}" if regions else ""
            raise StartError(
                f"Keystone has no region {self.wanted.region}{others}:"
                f" correct {variable_of(options.KEYSTONE_GROUP, 'region_name')}, or create it with"
                " `openstack region create`"
            )

    def ensure_endpoints(self) -> None:
        """Register the service, and its URLs. Clients find a changed one at any time."""
        service = self.ensure_service()
        manager, region = self.keystone.endpoints, self.wanted.region
        for interface, url in self.wanted.endpoints.items():
            fields = {"service": service, "interface": interface, "region_id": region}
            name = f"endpoint {interface} in {region}"
            found = manager.list(**fields) if service else []
            for endpoint in found:
                if interface == "public":
                    refuse_plain_http(name, endpoint.url, url)
                if (endpoint.url, endpoint.enabled) != (url, True):
                    text = f"~ {name}: {endpoint.url} -> {url}"
                    self.change(text, manager.update, endpoint, url=url, enabled=True)
            if not found:
                self.change(f"+ {name}: {url}", manager.create, url=url, **fields)

    def ensure_service(self) -> Any:
        """Return the service: of several, the one that has endpoints in the region."""
        manager, region = self.keystone.services, self.wanted.region
        found = manager.list(type="placement")
        if len(found) > 1:
            services = ", ".join(sorted(each.id for each in found))
            endpoints = self.keystone.endpoints
            found = [each for each in found if endpoints.list(service=each, region_id=region)]
            if len(found) != 1:
                raise StartError(
                    f"Keystone has several services of the type placement: {services}:"
                    " delete all except one"
                )
        if not found:
            text = "+ service placement"
            return self.change(text, manager.create, name="placement", type="placement")
        if not found[0].enabled:
            self.change("~ service placement: enabled", manager.update, found[0], enabled=True)
        return found[0]

    def ensure_user(self, user: User) -> None:
        """Create the user and its project, assign the roles, and correct the password."""
        domain, project_domain = (
            self.ensure(f"domain {name}", self.keystone.domains, {}, name=name)
            for name in (user.user_domain_name, user.project_domain_name)
        )
        name = user.project_name
        project = self.ensure(
            f"project {name}", self.keystone.projects, {}, name=name, domain=project_domain
        )
        text, new = f"user {user.username}", {"password": user.password}
        found = self.ensure(text, self.keystone.users, new, name=user.username, domain=domain)
        if found and not found.enabled:
            raise StartError(f"the {text} in Keystone is disabled: enable it, or use another one")
        for role_name in ROLES:
            role = self.ensure(f"role {role_name}", self.keystone.roles, {}, name=role_name)
            grant = {"user": found, "project": project}
            granted = self.keystone.roles.list(**grant) if found and project else []
            if role is None or role.id not in {each.id for each in granted}:
                text = f"+ role {role_name} of {user.username} in the project {name}"
                self.change(text, self.keystone.roles.grant, role, **grant)
        # Each new password revokes the user's tokens.
        if found and not self.accepts(user):
            text = f"~ password of the user {user.username}"
            self.change(text, self.keystone.users.update, found, password=user.password)

    def accepts(self, user: User) -> bool:
        """Return whether the user can log in; roles do not matter."""
        login = identity.Password(
            self.admin.auth["auth_url"],
            username=user.username,
            password=user.password,
            user_domain_name=user.user_domain_name,
        )
        try:
            self.admin.session.get_token(login)
        except exceptions.Unauthorized:
            return False
        return True

    def ensure_credential(self) -> None:
        """Create the application credential if Placement logs in with one by its name."""
        section = keystone.section_of_login(self.config)
        group = self.config[section]
        if group.auth_type != CREDENTIAL:
            return
        try:
            keystone.new_token(self.config)
        except (exceptions.Unauthorized, exceptions.NotFound) as error:
            name = group.application_credential_name
            if not (name and self.wanted.user):
                variable = variable_of(section, "application_credential_id")
                raise StartError(
                    f"Keystone refuses {keystone.name_of_user(group)}: {error}. Create an"
                    f" application credential, and correct {where(variable)}"
                ) from error
            secret = group.application_credential_secret
            if owner_has_credential(name):
                variable = variable_of(section, "application_credential_secret")
                raise StartError(
                    f"Keystone refuses the application credential {name}: {error}. Delete it as its"
                    f" owner, or correct {where(variable)}"
                ) from error
            self.change(f"+ application credential {name}", create_credential, name, secret)


def refuse_plain_http(name: str, old: str, new: str) -> None:
    """Refuse to replace an https URL by an http URL of the same host: its scheme is a guess."""
    before, after = urlsplit(old), urlsplit(new)
    if (before.scheme, after.scheme) == ("https", "http") and before.hostname == after.hostname:
        raise StartError(
            f"the {name} is {old} in Keystone, but {ENDPOINTS['public']} is {new}: correct it, or"
            " change the endpoint with `openstack endpoint set`"
        )


def owner_has_credential(name: str) -> bool:
    """Return whether the owner has an application credential with this name."""
    session = clouds.load(OWNER).session
    try:
        manager = identity_client(session).application_credentials
        return bool(manager.list(user=session.get_user_id(), name=name))
    except exceptions.Unauthorized:
        return False  # The owner does not exist yet, or has another password.


def create_credential(name: str, secret: str) -> None:
    """Create an application credential. Only its owner can."""
    owner = clouds.load(OWNER)
    manager = identity_client(owner.session).application_credentials
    with report_refusals(owner, "use the owner of the application credential"):
        manager.create(name, user=owner.session.get_user_id(), secret=secret)
