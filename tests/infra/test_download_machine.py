import ast
import io
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console

from infra.bake.download.transfer import Remote, download
from infra.common.errors import OperatorError
from tests.support.downloads import CONTENT, HASTY, ROOT, child, names, pinned, refused, sha256
from tests.support.file_server import Answer, FileServer

pytestmark = pytest.mark.usefixtures("no_proxies")

# The way there.


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_takes_the_place_of_scheme_and_host(tmp_path: Path, slash: str) -> None:
    remote = Remote("https://models.example:8443/a/b%20c?download=true", sha256(CONTENT), len(CONTENT))
    with FileServer(CONTENT) as server:
        assert download(remote, tmp_path / "m.onnx", mirror=f"{server.url}/hub{slash}") == sha256(CONTENT)
        assert [asked.path for asked in server.asked] == ["/hub/a/b%20c?download=true"]


@pytest.mark.parametrize(
    "mirror", ["mirror.example", "ftp://mirror.example", "file:///models", "http://", "http://a..b"]
)
def test_a_mirror_that_is_no_address(tmp_path: Path, mirror: str) -> None:
    line = refused(Remote("https://models.example/m", None, None), tmp_path / "m.onnx", mirror=mirror)
    assert line.startswith(f"the mirror {mirror} is no address that a file can be fetched from")


@pytest.mark.parametrize("url", ["", "m.onnx", "s3://bucket/m.onnx", "http:///m.onnx", "http://[::1", "http://h:port/"])
def test_an_address_that_is_none(tmp_path: Path, url: str) -> None:
    assert "is no address that a file can be fetched from" in refused(Remote(url, None, None), tmp_path / "m.onnx")


def test_an_address_that_no_mirror_helps(tmp_path: Path) -> None:
    remote = Remote("https://[::1/m", None, None)
    assert "is no address" in refused(remote, tmp_path / "m.onnx", mirror="https://mirror.example")


def test_a_password_is_sent_and_never_shown(tmp_path: Path) -> None:
    with FileServer(CONTENT, Answer(cut=60_000)) as server:
        server.usual = Answer(status=404, body=b"")
        mirror = server.url.replace("//", "//me:secret@")
        assert "secret" not in refused(pinned(server), tmp_path / "m.onnx", mirror=mirror)
        assert server.asked[0].headers["authorization"].startswith("Basic ")
    assert b"secret" not in (tmp_path / "m.onnx.part.json").read_bytes()


def test_the_environments_proxy_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FileServer(CONTENT) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        remote = Remote("http://models.example/m.onnx", sha256(CONTENT), len(CONTENT))
        assert download(remote, tmp_path / "m.onnx", patience=HASTY) == sha256(CONTENT)
        assert [asked.path for asked in proxy.asked] == ["http://models.example/m.onnx"]


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "SSL_CERT_FILE"])
def test_settings_of_the_environment_that_do_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "gopher://nothing/there")
    line = refused(Remote("https://models.example/m", None, None), tmp_path / "m.onnx")
    assert line.startswith("the environment's proxy or certificate settings do not work")


def test_nobody_listens(tmp_path: Path, unused_port: int) -> None:
    line = refused(Remote(f"http://127.0.0.1:{unused_port}/m", None, None), tmp_path / "m.onnx")
    assert "no connection (Connection refused), and 3 attempts in a row brought nothing new; check the network" in line
    assert names(tmp_path) == []


def test_a_host_that_does_not_exist(tmp_path: Path) -> None:
    remote = Remote("http://nowhere.invalid/m", None, None)  # RFC 6761: never resolved
    line = refused(remote, tmp_path / "m.onnx", patience=replace(HASTY, attempts=1))
    assert "a host name cannot be looked up" in line
    assert "check the network and the proxy settings" in line


@pytest.mark.parametrize("location", ["/models/m.onnx", "ftp://127.0.0.1/m", "http://a..b/m", "http://[/"])
def test_a_redirect_that_leads_nowhere(tmp_path: Path, location: str) -> None:
    with FileServer(CONTENT) as server:
        server.usual = Answer(status=302, body=b"", headers={"Location": location})
        assert refused(pinned(server), tmp_path / "m.onnx").startswith("could not download")


def self_signed(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context, and the certificate that a client must trust."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=127.0.0.1")
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "trust.pem").write_bytes(pem)
    (folder / "server.pem").write_bytes(secret + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context, folder / "trust.pem"


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, trust = self_signed(tmp_path)
    target = tmp_path / "cache" / "m.onnx"
    with FileServer(CONTENT).over_tls(context) as server:
        line = refused(pinned(server), target)
        assert "the certificate is not trusted (self-signed certificate); if a proxy opens TLS here, name its" in line
        monkeypatch.setenv("SSL_CERT_FILE", str(trust))
        assert download(pinned(server), target, patience=HASTY) == sha256(CONTENT)


def test_tls_where_none_is_spoken(tmp_path: Path) -> None:
    with FileServer(CONTENT) as server:
        remote = replace(pinned(server), url=server.url.replace("http:", "https:"))
        assert "TLS fails" in refused(remote, tmp_path / "m.onnx")


# The disk.


def on_a_tiny_disk(folder: Path, command: list[str]) -> list[str]:
    """The command, with a disk of 64 KiB in the folder's place; or, where none may be mounted, files no longer."""
    apart = ["unshare", "--mount", "--map-root-user"]
    if shutil.which("unshare") and subprocess.run([*apart, "true"], capture_output=True, check=False).returncode == 0:
        return [*apart, "sh", "-c", 'mount -t tmpfs -o size=64k none "$0" && exec "$@"', str(folder), *command]
    return ["sh", "-c", 'ulimit -f 128 && exec "$@"', "sh", *command]


def without_large_files(_folder: Path, command: list[str]) -> list[str]:
    return ["sh", "-c", 'ulimit -f 128 && exec "$@"', "sh", *command]


@pytest.mark.parametrize("limited", [on_a_tiny_disk, without_large_files])
def test_a_full_disk_is_told_and_what_is_there_is_kept_as_a_part(
    tmp_path: Path, limited: Callable[[Path, list[str]], list[str]]
) -> None:
    with FileServer(CONTENT) as server:
        command = limited(tmp_path, child(pinned(server), tmp_path / "m.onnx"))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    line, left = done.stdout.splitlines()
    assert line.startswith(f"no room for {tmp_path}/m.onnx (")
    assert line.endswith("); make room there, then try again")
    assert [name for name, _ in ast.literal_eval(left)] == ["m.onnx.part", "m.onnx.part.json"]


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user without rights: root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_cannot_be_written() -> None:
    with FileServer(CONTENT) as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "cache").mkdir(mode=0o555)
        with nobody():
            line = refused(pinned(server), folder / "cache" / "m.onnx")
        assert line.startswith(f"cannot write {folder}/cache/m.onnx (Permission denied); make its folder writable")
        assert server.asked == []


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = refused(Remote("http://models.example/m", None, None), tmp_path / "file" / "deep" / "m.onnx")
    assert "/file/deep/m.onnx (Not a directory)" in line


def test_a_place_that_is_taken_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    with FileServer(CONTENT) as server, pytest.raises(OperatorError, match=r"cannot write .* \(Is a directory\)"):
        download(pinned(server), tmp_path / "m.onnx", patience=HASTY)


# What is told meanwhile.


def told(target: Path, server: FileServer, *, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    download(pinned(server), target, console=console, patience=HASTY)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_and_what_went_wrong_are_told(tmp_path: Path, terminal: bool) -> None:
    with FileServer(CONTENT, Answer(cut=60_000)) as server:
        text = told(tmp_path / "m[1].onnx", server, terminal=terminal)
    assert "the connection broke (after 60,000 bytes); trying again in 0.0 s" in text
    assert "m[1].onnx" in text
    assert "200.0/200.0 kB" in text if terminal else text.endswith("m[1].onnx: 200.0 kB of 200.0 kB\n")


def test_nothing_is_told_where_there_is_no_console(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with FileServer(CONTENT, Answer(cut=60_000)) as server:
        download(pinned(server), tmp_path / "m.onnx", patience=HASTY)
    assert capfd.readouterr() == ("", "")
