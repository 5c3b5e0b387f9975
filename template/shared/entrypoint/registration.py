"""register: what Keystone should know about Placement, added or changed but never deleted."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from keystoneauth1 import exceptions, identity, plugin
from keystoneauth1.session import Session
from keystoneclient.v3.client import Client
from oslo_config import cfg

from entrypoint import clouds, keystone, options
from entrypoint.client import base_url
from entrypoint.errors import StartError, TemporaryError
from entrypoint.variables import ENDPOINTS, variable_of, where

# Operators need the role admin. Nova needs service, and so does Placement to validate tokens.
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
    options.require_auth_strategy(config)
    if config.api.auth_strategy != "keystone":
        raise StartError("register needs Keystone: set OS_API__AUTH_STRATEGY to keystone")
    wanted = Wanted(region(config), endpoints(), user(config))
    admin = clouds.load()
    at = f"Keystone at {admin.auth['auth_url']}"
    try:
        changes = Registration(config, admin, wanted).run()
        if changes and not dry_run:
            Registration(config, admin, wanted, write=True).run()
            if rest := Registration(config, admin, wanted).run():
                raise StartError(f"{at} has not stored: {', '.join(rest)}")
        warn_about_nova(identity_client(admin.session))
    except exceptions.Unauthorized as error:
        raise StartError(f"{at} refuses the cloud {admin.name}: {error}. Correct it") from error
    except exceptions.Forbidden as error:
        needed = "use an administrator of Keystone"
        raise StartError(f"{at} forbids a request of {admin.name}: {error}: {needed}") from error
    except exceptions.ClientException as error:
        if keystone.is_transient(error):
            raise TemporaryError(f"{at} does not answer: {error}") from error
        raise StartError(f"{at} refuses a request: {error}") from error
    if dry_run:
        print("".join(f"{change}\n" for change in changes), end="")
    print(f"ok: registration: {'to change' if dry_run else 'changed'}: {len(changes)}")


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
            raise StartError(
                f"Keystone has no region {self.wanted.region}, only {', '.join(regions)}:"
                f" correct {variable_of(options.KEYSTONE_GROUP, 'region_name')}, or create it with"
                " `openstack region create`"
            )

    def ensure_endpoints(self) -> None:
        """Register the service, and its URLs. Clients find a changed one at any time."""
        new = {"name": "placement"}
        service = self.ensure("service placement", self.keystone.services, new, type="placement")
        manager, region = self.keystone.endpoints, self.wanted.region
        for interface, url in self.wanted.endpoints.items():
            fields = {"service": service, "interface": interface, "region_id": region}
            name = f"endpoint {interface} in {region}"
            found = manager.list(**fields) if service else []
            for endpoint in found:
                if (endpoint.url, endpoint.enabled) != (url, True):
                    text = f"~ {name}: {endpoint.url} -> {url}"
                    self.change(text, manager.update, endpoint, url=url, enabled=True)
            if not found:
                self.change(f"+ {name}: {url}", manager.create, url=url, **fields)

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
            self.change(f"+ application credential {name}", create_credential, name, secret)


def create_credential(name: str, secret: str) -> None:
    """Create an application credential. Only its owner can."""
    session = clouds.load(OWNER).session
    manager = identity_client(session).application_credentials
    manager.create(name, user=session.get_user_id(), secret=secret)
