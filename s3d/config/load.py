"""From flags, environment and file to Settings, strictly: whatever is not understood stops the start.

Each setting is looked up in the order flag, environment, file, default, and checked by itself, so that an error names
the source, the setting and what was given. Values of secrets, and of settings that do not exist (which may be a
misspelt secret), are never repeated. An empty environment variable counts as unset.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import msgspec

from s3d.bundle.errors import BundleError
from s3d.bundle.keys import parse_public
from s3d.config.addresses import check_domain, check_endpoint, is_loopback, parse_listen
from s3d.config.catalogue import Setting, catalogue, list_settings, sections
from s3d.config.drops import overlap
from s3d.config.lines import ConfigurationFile
from s3d.config.lists import LISTS, take_lists
from s3d.config.remotes import RemoteSettings, check_key_pair
from s3d.config.secrets import decode_secret
from s3d.config.settings import Settings
from s3d.errors import ConfigurationError


def load(
    flags: Mapping[str, Any], environ: Mapping[str, str], path: str | None, *, root: bool | None = None
) -> Settings:
    """Read the settings. `flags` has setting paths (`remote.endpoint`) as keys; a value of None is a flag not given.

    `path` names a TOML file, None: there is none. `root` says whether the system's data directory is the default;
    None: ask the operating system. Raises ConfigurationError.
    """
    return assemble(flags, environ, read_file(path) if path is not None else None, root=root)


def assemble(
    flags: Mapping[str, Any], environ: Mapping[str, str], file: ConfigurationFile | None, *, root: bool | None = None
) -> Settings:
    """The same with a file that has been read. Raises ConfigurationError."""
    file = file or ConfigurationFile("", "")
    document = _parse(file)
    lists = take_lists(document, file)
    from_file = _flatten(document, file)
    values: dict[str, Any] = {"data_dir": _default_data_dir(environ, root=os.geteuid() == 0 if root is None else root)}
    for setting in catalogue().values():
        given = _given(setting, flags, environ, from_file, file)
        if given is not None:
            values[setting.path] = given
    settings = _assemble(values, environ, lists)
    check(settings)
    _check_remotes(settings, file)
    return settings


def exposes_secrets(path: str) -> bool:
    """Whether the file gives secrets and every user of this machine may read it: worth a warning at start."""
    file = read_file(path)
    document = _parse(file)
    tables = [document.pop(kind.name, None) and list_settings()[kind.name] for kind in LISTS]
    settings = [
        *(catalogue()[name] for name in _flatten(document, file)),
        *(one for all_ in tables for one in all_ or ()),
    ]
    return any(one.secret for one in settings) and bool(os.stat(path).st_mode & 0o004)


# the file


def read_file(path: str) -> ConfigurationFile:
    """Its text. Raises ConfigurationError."""
    try:
        with open(path, "rb") as file:
            content = file.read()
        return ConfigurationFile(path, content.decode(), sha256(content).hexdigest())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint="check --config") from None
    except (UnicodeDecodeError, ValueError):
        raise ConfigurationError(f"{path} is not UTF-8 text", hint="a configuration file is TOML") from None


def _parse(file: ConfigurationFile) -> dict[str, Any]:
    try:
        return tomllib.loads(file.text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"{file.path}: not TOML: {error}", hint='texts need quotes: listen = "http://localhost:33333"'
        ) from None


def _flatten(document: Mapping[str, Any], file: ConfigurationFile) -> dict[str, Any]:
    """The file's values by setting path. Raises ConfigurationError for what does not exist."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        if name in sections():
            if not isinstance(value, dict):
                raise ConfigurationError(
                    f"{file.at(name)}: {name} is a section", hint=f"write [{name}] on a line of its own"
                )
            for inner, inner_value in value.items():
                flat[_known(f"{name}.{inner}", file)] = inner_value
        else:
            if isinstance(value, dict) and name not in catalogue():
                raise _unknown(f"section [{name}]", name, list(sections()), "the sections are", file)
            flat[_known(name, file)] = value
    return flat


def _known(name: str, file: ConfigurationFile) -> str:
    if name in catalogue():
        return name
    section = name.partition(".")[0] if "." in name else ""
    siblings = [one.path for one in catalogue().values() if one.section == section]
    listed = f"the settings of [{section}] are" if section else "the settings outside sections are"
    raise _unknown(f"setting {name}", name, siblings, listed, file)


def _unknown(what: str, name: str, siblings: list[str], listed: str, file: ConfigurationFile) -> ConfigurationError:
    last = name.rpartition(".")[2]
    elsewhere = [one for one in catalogue() if one.rpartition(".")[2] == last]
    near = (
        difflib.get_close_matches(name, siblings, 1, 0.75)
        or elsewhere
        or difflib.get_close_matches(name, [*catalogue(), *(() if "." in name else sections())], 1, 0.75)
    )
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = f"{listed} {', '.join(one.rpartition('.')[2] for one in siblings)}"
    return ConfigurationError(f"{file.at(name)}: unknown {what}", hint=hint)


# one setting


def _given(
    setting: Setting,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    from_file: Mapping[str, Any],
    file: ConfigurationFile,
) -> Any:
    """The checked value from the first source that has one; None when there is none."""
    if flags.get(setting.path) is not None:
        return _convert(setting, flags[setting.path], setting.flag)
    if setting.environment and environ.get(setting.environment):
        return _convert(setting, environ[setting.environment], setting.environment)
    if setting.path in from_file:
        return _convert(setting, from_file[setting.path], f"{file.at(setting.path)}: {setting.path}")
    return None


def _convert(setting: Setting, value: Any, source: str) -> Any:
    shown = "" if setting.secret else f" = {_shortened(value)}"
    try:
        converted = msgspec.convert(value, setting.annotation, dec_hook=decode_secret)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{source}{shown}: {_lower(str(error))}", hint=_advice(setting)) from None
    try:
        _check_address(setting, converted)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source}: {error.message}", hint=error.hint) from None
    return converted


def _check_address(setting: Setting, value: Any) -> None:
    if setting.path in {"listen", "admin.listen"}:
        parse_listen(value)
    if setting.path == "remote.endpoint":
        check_endpoint(value)
    if setting.path == "http.base_domains":
        for name in value:
            check_domain(name)
    if setting.path == "bundle.trust":
        for key in value:
            _check_key(key)


def _check_key(text: str) -> None:
    try:
        parse_public(text)
    except BundleError as error:
        raise ConfigurationError(error.message, hint=error.hint) from None


def _advice(setting: Setting) -> str:
    if setting.choices:
        return f"choose one of {', '.join(setting.choices)}"
    return setting.description


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


# all together


def _default_data_dir(environ: Mapping[str, str], *, root: bool) -> str:
    if root:
        return "/var/lib/s3d"
    base = environ.get("XDG_DATA_HOME") or os.path.join(environ.get("HOME") or "~", ".local/share")
    return os.path.join(base, "s3d")


def _assemble(values: Mapping[str, Any], environ: Mapping[str, str], lists: Mapping[str, tuple[Any, ...]]) -> Settings:
    top = {name: value for name, value in values.items() if "." not in name}
    top["data_dir"] = _absolute(top["data_dir"], environ)
    for section, struct in sections().items():
        top[section] = struct(
            **{
                name.removeprefix(f"{section}."): value
                for name, value in values.items()
                if name.startswith(f"{section}.")
            }
        )
    return Settings(**{**top, **lists})


def _absolute(path: str, environ: Mapping[str, str]) -> str:
    """A path that means the same from every working directory, with `~` expanded."""
    if "\0" in path:
        raise ConfigurationError("data_dir has a NUL character in it", hint="choose another directory")
    home = environ.get("HOME")
    if home and (path == "~" or path.startswith("~/")):
        path = home + path[1:]
    return os.path.abspath(os.path.expanduser(path))


def check(settings: Settings) -> None:
    """What no setting can tell by itself. Raises ConfigurationError."""
    check_key_pair("auth.", settings.auth)
    check_key_pair("remote.", settings.remote)
    _check_client_keys(settings)
    if not settings.address.loopback and not settings.auth.configured:
        raise ConfigurationError(
            f"listen = {settings.listen} can be reached from other machines, but requests are not authenticated",
            hint="set auth.access_key and auth.secret_key, or listen on http://localhost:33333",
        )
    if not settings.admin.address.loopback:
        raise ConfigurationError(
            f"admin.listen = {settings.admin.listen} can be reached from other machines",
            hint="the admin listener has no authentication: give it a loopback address such as http://127.0.0.1:33334",
        )
    if settings.address == settings.admin.address and settings.address.port != 0:
        raise ConfigurationError("listen and admin.listen are the same address", hint="give them different ports")
    _check_not_itself(settings.remote, "remote.endpoint", settings)
    _check_drops(settings)
    _check_anchors(settings)
    if not settings.remote.configured and any(rule.durability == "replicated" for rule in settings.rules):
        raise ConfigurationError(
            'a rule says durability = "replicated", but no remote is configured',
            hint="set remote.endpoint, or leave durability out of the rule",
        )


def _check_anchors(settings: Settings) -> None:
    """Whoever asks for anchors is not to believe in ones that are never made."""
    if settings.audit.anchor_bucket is None:
        return
    if not settings.remote.configured:
        raise ConfigurationError(
            "audit.anchor_bucket is set, but no remote is configured", hint="set remote.endpoint: anchors go there"
        )
    if not settings.audit.checkpoint_minutes:
        raise ConfigurationError(
            "audit.anchor_bucket is set, but audit.checkpoint_minutes is 0", hint="what is never signed is not anchored"
        )


def _check_client_keys(settings: Settings) -> None:
    """Further pairs need a first one: taking that out must not open the door to everybody."""
    if settings.client_keys and not settings.auth.configured:
        raise ConfigurationError(
            "there is a [[client_key]], but no auth.access_key",
            hint="put one pair into [auth]: without it requests are not authenticated at all",
        )
    if any(one.access_key == settings.auth.access_key for one in settings.client_keys):
        raise ConfigurationError(
            f"client_key: {settings.auth.access_key} is the key pair of [auth] already", hint="leave the table out"
        )


def _check_drops(settings: Settings) -> None:
    """The daemon's own files must not become objects, and a folder inside its directory is not one of a device."""
    for folder in settings.drops:
        for place in (folder.directory, folder.move_to):
            if place is not None and overlap(place, settings.data_dir):
                raise ConfigurationError(
                    f"drop {folder.name}: {place} and the data directory {settings.data_dir} are not apart",
                    hint="give the drop folder a directory of its own",
                )


def _check_remotes(settings: Settings, file: ConfigurationFile) -> None:
    """Whether every bucket's remote is there, and what every other remote needs."""
    for number, other in enumerate(settings.other_remotes, start=1):
        where = f"{file.at('other_remote', number)}: other_remote {number}"
        if not settings.remote.configured:
            raise ConfigurationError(
                f"{where}: {other.name} is another remote, but there is no [remote]",
                hint="set remote.endpoint: buckets that no table sends elsewhere are there",
            )
        _check_not_itself(other, f"{where}: endpoint", settings)
    names = [other.name for other in settings.other_remotes]
    for number, bucket in enumerate(settings.buckets, start=1):
        if bucket.remote and bucket.remote not in names:
            near = difflib.get_close_matches(bucket.remote, names, 1, 0.6)
            where = f"{file.at('bucket.remote', number)}: bucket {number}"
            raise ConfigurationError(
                f"{where}: remote: there is no [[other_remote]] with the name {bucket.remote}",
                hint=f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none'}",
            )


def _check_not_itself(remote: RemoteSettings, setting: str, settings: Settings) -> None:
    """A daemon that replays to itself would answer its own requests for ever."""
    url = remote.endpoint_url
    if url is None:
        return
    there, own = urlsplit(url), settings.address
    port = there.port or (443 if there.scheme == "https" else 80)
    host = there.hostname or ""
    if port == own.port and (host == own.host or (is_loopback(host) and own.loopback)):
        raise ConfigurationError(
            f"{setting} = {url} is this daemon itself",
            hint="S3_ENDPOINT and --remote name the S3 service behind it; clients use S3D_ENDPOINT",
        )
