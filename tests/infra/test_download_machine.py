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
from infra.common.paths import ROOT
from tests.support.downloads import CONTENT, QUICK, child, names, pinned, refused, sha256
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
def test_a_mirror_that_is_not_a_url(tmp_path: Path, mirror: str) -> None:
    line = refused(Remote("https://models.example/m", None, None), tmp_path / "m.onnx", mirror=mirror)
    assert line.startswith(f"the mirror {mirror} is not a valid URL")


@pytest.mark.parametrize("url", ["", "m.onnx", "s3://bucket/m.onnx", "http:///m.onnx", "http://[::1", "http://h:port/"])
def test_an_invalid_url(tmp_path: Path, url: str) -> None:
    assert "is not a valid URL" in refused(Remote(url, None, None), tmp_path / "m.onnx")


def test_an_invalid_url_with_a_mirror(tmp_path: Path) -> None:
    remote = Remote("https://[::1/m", None, None)
    assert "is not a valid URL" in refused(remote, tmp_path / "m.onnx", mirror="https://mirror.example")


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
        assert download(remote, tmp_path / "m.onnx", retries=QUICK) == sha256(CONTENT)
        assert [asked.path for asked in proxy.asked] == ["http://models.example/m.onnx"]


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "SSL_CERT_FILE"])
def test_invalid_settings_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "gopher://nothing/there")
    line = refused(Remote("https://models.example/m", None, None), tmp_path / "m.onnx")
    assert line.startswith("the environment's proxy or certificate settings do not work")


def test_no_server_listens(tmp_path: Path, unused_port: int) -> None:
    line = refused(Remote(f"http://127.0.0.1:{unused_port}/m", None, None), tmp_path / "m.onnx")
    assert (
        "no connection (Connection refused), and 3 attempts in a row received no new bytes; check the network" in line
    )
    assert names(tmp_path) == []


def test_a_host_that_does_not_exist(tmp_path: Path) -> None:
    remote = Remote("http://nowhere.invalid/m", None, None)  # RFC 6761: never resolved
    line = refused(remote, tmp_path / "m.onnx", retries=replace(QUICK, attempts=1))
    assert "the host name cannot be resolved" in line
    assert "check the network and the proxy settings" in line


@pytest.mark.parametrize("location", ["/models/m.onnx", "ftp://127.0.0.1/m", "http://a..b/m", "http://[/"])
def test_a_redirect_to_an_invalid_url(tmp_path: Path, location: str) -> None:
    with FileServer(CONTENT) as server:
        server.usual = Answer(status=302, body=b"", headers={"Location": location})
        assert refused(pinned(server), tmp_path / "m.onnx").startswith("could not download")


def self_signed(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A TLS context for a server, and the certificate that a client must trust."""
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


def test_an_untrusted_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, trust = self_signed(tmp_path)
    target = tmp_path / "cache" / "m.onnx"
    with FileServer(CONTENT).over_tls(context) as server:
        line = refused(pinned(server), target)
        assert "the server's certificate is not trusted (self-signed certificate); if a proxy intercepts" in line
        monkeypatch.setenv("SSL_CERT_FILE", str(trust))
        assert download(pinned(server), target, retries=QUICK) == sha256(CONTENT)


def test_tls_with_a_server_that_has_none(tmp_path: Path) -> None:
    with FileServer(CONTENT) as server:
        remote = replace(pinned(server), url=server.url.replace("http:", "https:"))
        assert "TLS failed" in refused(remote, tmp_path / "m.onnx")


# The disk.


def on_a_tiny_disk(folder: Path, command: list[str]) -> list[str]:
    """Run the command with a 64 KiB disk at the folder or, where mounting is not allowed, a limit on file sizes."""
    apart = ["unshare", "--mount", "--map-root-user"]
    if shutil.which("unshare") and subprocess.run([*apart, "true"], capture_output=True, check=False).returncode == 0:
        return [*apart, "sh", "-c", 'mount -t tmpfs -o size=64k none "$0" && exec "$@"', str(folder), *command]
    return ["sh", "-c", 'ulimit -f 128 && exec "$@"', "sh", *command]


def without_large_files(_folder: Path, command: list[str]) -> list[str]:
    return ["sh", "-c", 'ulimit -f 128 && exec "$@"', "sh", *command]


@pytest.mark.parametrize("limited", [on_a_tiny_disk, without_large_files])
def test_a_full_disk_is_reported_and_the_partial_file_kept(
    tmp_path: Path, limited: Callable[[Path, list[str]], list[str]]
) -> None:
    with FileServer(CONTENT) as server:
        command = limited(tmp_path, child(pinned(server), tmp_path / "m.onnx"))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    line, left = done.stdout.splitlines()
    assert line.startswith(f"no room for {tmp_path}/m.onnx (")
    assert line.endswith("); free some disk space and try again")
    assert [name for name, _ in ast.literal_eval(left)] == ["m.onnx.part", "m.onnx.part.json"]


@contextmanager
def without_root() -> Iterator[None]:
    """Run the block as an unprivileged user, because root can write everywhere."""
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
        with without_root():
            line = refused(pinned(server), folder / "cache" / "m.onnx")
        assert line.startswith(f"cannot write {folder}/cache/m.onnx (Permission denied); make its folder writable")
        assert server.asked == []


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = refused(Remote("http://models.example/m", None, None), tmp_path / "file" / "deep" / "m.onnx")
    assert "/file/deep/m.onnx (Not a directory)" in line


def test_a_target_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    with FileServer(CONTENT) as server, pytest.raises(OperatorError, match=r"cannot write .* \(Is a directory\)"):
        download(pinned(server), tmp_path / "m.onnx", retries=QUICK)


# Progress.


def shown_output(target: Path, server: FileServer, *, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    download(pinned(server), target, console=console, retries=QUICK)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_and_retries_are_shown(tmp_path: Path, terminal: bool) -> None:
    with FileServer(CONTENT, Answer(cut=60_000)) as server:
        text = shown_output(tmp_path / "m[1].onnx", server, terminal=terminal)
    assert "the connection broke (after 60,000 bytes); trying again in 0.0 s" in text
    assert "m[1].onnx" in text
    assert "200.0 kB of 200.0 kB" in text
    assert terminal or text.splitlines()[-1].startswith("m[1].onnx: 200.0 kB of 200.0 kB, ")


def test_nothing_is_shown_without_a_console(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with FileServer(CONTENT, Answer(cut=60_000)) as server:
        download(pinned(server), tmp_path / "m.onnx", retries=QUICK)
    assert capfd.readouterr() == ("", "")
