"""Where the tests find what they test; interop/run sets it all."""

import os
import socket
from pathlib import Path

import pytest

from scripted import Gate, Upstream


def folder(name: str) -> Path:
    if not os.environ.get(name):
        pytest.fail(f"{name} is not set: run interop/run instead of pytest")
    return Path(os.environ[name])


@pytest.fixture(scope="session")
def proofhouse() -> str:
    return str(folder("INTEROP_PROOFHOUSE"))


@pytest.fixture(scope="session")
def checkout() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def upstream():
    u = Upstream()
    yield u
    u.close()


@pytest.fixture
def start(proofhouse):
    gates = []

    def start(upstream: str, *flags: str, **more) -> Gate:
        gates.append(Gate(proofhouse, upstream, *flags, **more))
        return gates[-1]

    yield start
    for gate in reversed(gates):
        gate.close()


def pytest_generate_tests(metafunc):
    if "log" in metafunc.fixturenames:
        logs = sorted(folder("INTEROP_LOGS").rglob("*.eval"))
        metafunc.parametrize("log", [str(x) for x in logs], ids=[x.parent.name for x in logs])


@pytest.fixture(scope="session", autouse=True)
def loopback_only():
    """Nothing here may need a network; interop/run gives it none."""
    names = [name for _, name in socket.if_nameindex()]
    if os.environ.get("INTEROP_ALLOW_NETWORK") != "1":
        assert names == ["lo"], f"the tests must run without a network, but there is {names}"
