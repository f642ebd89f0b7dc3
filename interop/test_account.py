"""People sign in by accounts with a provider of identities that is not ours (Authlib's, as oidc-provider-mock serves it)."""

import html
import json
import os
import re
import signal
import socket
import subprocess
import time
from urllib.parse import urlsplit

import httpx
import pytest


def free() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def issuer(tmp_path):
    url = f"http://127.0.0.1:{free()}"
    python = os.environ["INTEROP_OIDC_PYTHON"]
    p = subprocess.Popen([python, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(urlsplit(url).port), "--require-nonce", "true", "--user", "ada-elsewhere", "--user", "eve-elsewhere"],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            yield_url = httpx.get(url + "/.well-known/openid-configuration").json()["issuer"]
            break
        except httpx.TransportError:
            time.sleep(0.1)
    else:
        pytest.fail("the provider does not start")
    yield yield_url
    p.terminate()
    p.wait()


@pytest.fixture
def house(tmp_path, proofhouse, issuer):
    url = f"http://localhost:{free()}"
    (tmp_path / "secret").write_text("a secret\n")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "issuers.toml").write_text(f'[[issuer]]\nid = "staff"\ntitle = "Staff"\naddress = "{issuer}"\nclient = "proofhouse"\nsecret_file = "secret"\n')
    p = subprocess.Popen([proofhouse, "serve", "--json", "--data", str(tmp_path / "data"), "--addr", f"127.0.0.1:{urlsplit(url).port}", "--url", url, "--issuers", str(tmp_path / "issuers.toml")],
                         stdout=subprocess.PIPE, text=True)
    said = ""
    for line in p.stdout:
        said += line
        try:
            code = json.loads(said)["code"]
            break
        except json.JSONDecodeError:
            continue
    token = tmp_path / "token"
    subprocess.run([proofhouse, "admin", "claim", "--house", url, "--code", code, "--as", "ada@institute", "--token-file", str(token)], check=True, capture_output=True)
    yield url, token.read_text().strip()
    p.send_signal(signal.SIGINT)
    p.wait()


def shows(browser: httpx.Client, address: str, subject: str) -> httpx.Response:
    """Follows a link of the house to the provider, says who it is there, and comes back."""
    there = browser.get(address).headers["location"]
    back = browser.post(there, data={"sub": subject})
    assert back.status_code in (302, 303), back.text
    return browser.get(back.headers["location"])


def test_account(house):
    url, token = house
    with httpx.Client(base_url=url) as ada:
        assert ada.post("/sign-in", data={"token": token}).status_code == 303
        assert "Add an account with Staff" in ada.get("/settings/sign-in").text
        page = shows(ada, "/settings/sign-in/account/staff", "ada-elsewhere")
        [ceremony] = re.findall(r'name="ceremony" value="([^"]*)"', page.text)
        assert ada.post("/settings/sign-in/accounts", data={"ceremony": html.unescape(ceremony), "label": "work"}).status_code == 303
        assert "work" in ada.get("/settings/sign-in").text
    with httpx.Client(base_url=url) as ada:
        assert "Sign in with Staff" in ada.get("/sign-in").text
        page = shows(ada, "/sign-in/account/staff?to=/findings", "ada-elsewhere")
        assert page.status_code == 200 and 'href="/findings"' in page.text
        assert ada.get("/settings/sign-in").status_code == 200
    with httpx.Client(base_url=url) as eve:
        page = shows(eve, "/sign-in/account/staff", "eve-elsewhere")
        assert page.status_code == 403 and "That account opens nothing here: come in by token" in page.text
        assert eve.get("/settings/sign-in").status_code == 303
