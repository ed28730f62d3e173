"""The tables are compiled once for all protocol tests: they are immutable."""

import pytest

from s3d.protocol.model import Service, compile_service
from s3d.protocol.parser import Parser
from s3d.protocol.router import Router
from s3d.protocol.serializer import Serializer


@pytest.fixture(scope="session")
def service() -> Service:
    return compile_service()


@pytest.fixture(scope="session")
def router(service: Service) -> Router:
    return Router(service)


@pytest.fixture(scope="session")
def parser(service: Service) -> Parser:
    return Parser(service)


@pytest.fixture(scope="session")
def serializer(service: Service) -> Serializer:
    return Serializer(service)
