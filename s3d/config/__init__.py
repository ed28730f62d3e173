"""What can be set, and where it comes from: flags beat the environment, the environment beats the file.

Settings                       frozen values with their documentation beside them (settings.py)
load(flags, environ, path)     the only way to get them from the outside; raises ConfigurationError
"""

from s3d.config.addresses import Listen, is_loopback, parse_listen
from s3d.config.load import load
from s3d.config.remotes import OtherRemote, RemoteSettings
from s3d.config.settings import (
    AdminSettings,
    AuthSettings,
    CacheSettings,
    HttpSettings,
    JournalSettings,
    LogSettings,
    Settings,
    ShutdownSettings,
)

__all__ = [
    "AdminSettings",
    "AuthSettings",
    "CacheSettings",
    "HttpSettings",
    "JournalSettings",
    "Listen",
    "LogSettings",
    "OtherRemote",
    "RemoteSettings",
    "Settings",
    "ShutdownSettings",
    "is_loopback",
    "load",
    "parse_listen",
]
