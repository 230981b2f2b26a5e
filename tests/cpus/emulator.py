"""Run a machine in Bochs, an emulator that executes every instruction in software, including AVX-512.

So the CPU of the host does not matter. The output of the machine's serial port is a file on the host.
"""

import os
import pty
import re
import subprocess
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path

# Debian's packages, each with a file that it installs.
PACKAGES = {
    "bochs": "usr/bin/bochs-bin",
    "bochs-term": "usr/lib/*/bochs/plugins/libbx_term_gui.so",
    "bochsbios": "usr/share/bochs/BIOS-bochs-latest",
    "vgabios": "usr/share/vgabios/vgabios.bin",
    "syslinux": "usr/bin/syslinux",
    "mtools": "usr/bin/mcopy",
}

_SETTINGS = """\
config_interface: textconfig
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
plugin_ctrl: speaker=0, gameport=0, parallel=0, usb_uhci=0
megs: 768
cpu: model={cpu}, count=1, ips=300000000, reset_on_triple_fault=0
clock: sync=none
ata0-master: type=disk, path="{disk}", mode=flat
boot: disk
com1: enabled=1, mode=file, dev="{serial}"
log: "{log}"
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
"""


class EmulatorError(Exception):
    """The machine did not print the expected line; the text says why."""


def missing() -> list[str]:
    """The required packages that are not installed."""
    return [package for package, file in PACKAGES.items() if not any(Path("/").glob(file))]


def run(cpu: str, disk: Path, mark: str, seconds: float, show: Callable[[str], None]) -> str:
    """Boot a disk, wait for a line that starts with `mark`, and switch the machine off.

    Args:
        cpu: a model that `bochs-bin --help cpu` lists.
        disk: the disk image.
        mark: the start of the line.
        seconds: how long to wait.
        show: called with every other line.

    Returns:
        The rest of the line.

    Raises:
        EmulatorError: the machine ended or took too long without printing the line.
    """
    serial, settings, log = (disk.with_name(f"{cpu}.{kind}") for kind in ("serial", "bochsrc", "log"))
    settings.write_text(_SETTINGS.format(cpu=cpu, disk=disk, serial=serial, log=log), "utf-8")
    commands = disk.with_name("go")
    commands.write_text("continue\n", "utf-8")  # Debian's Bochs starts in its debugger
    for old in (serial, disk.with_name(f"{disk.name}.lock")):
        old.unlink(missing_ok=True)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["/usr/bin/bochs-bin", "-q", "-f", settings, "-rc", commands],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "vt100"},
        start_new_session=True,
    )
    os.close(theirs)
    threading.Thread(target=_read_screens, args=[ours], daemon=True).start()
    try:
        return _line(process, serial, mark, time.monotonic() + seconds, show)
    finally:
        process.kill()
        process.wait()


def _line(
    process: "subprocess.Popen[bytes]", serial: Path, mark: str, deadline: float, show: Callable[[str], None]
) -> str:
    seen = 0
    while time.monotonic() < deadline:
        ended = process.poll() is not None  # checked before reading, so that the last lines are read too
        lines = serial.read_text("utf-8", "replace").split("\n") if serial.exists() else [""]
        for line in lines[seen:-1]:
            if line.startswith(mark):
                return line.removeprefix(mark)
            show(line)
            ended = ended or "Kernel panic" in line
        seen = len(lines) - 1
        if ended:
            raise EmulatorError(f"the machine ended early; see {serial} and {serial.with_suffix('.log')}")
        time.sleep(1)
    raise EmulatorError(f"the machine took too long; see {serial} and {serial.with_suffix('.log')}")


def _read_screens(terminal: int) -> None:
    """Read and discard the output of Bochs and of the machine's screen, a second terminal that Bochs opens.

    Bochs would block when the buffer of a terminal is full.
    """
    text = b""
    while chunk := _read(terminal):
        text += chunk
        if found := re.search(rb'screen "(/dev/pts/\d+)"', text):
            screen = os.open(found[1], os.O_RDWR | os.O_NOCTTY)
            tty.setraw(screen)
            threading.Thread(target=_drain, args=[screen], daemon=True).start()
            _drain(terminal)
            return


def _drain(terminal: int) -> None:
    while _read(terminal):
        pass
    os.close(terminal)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Bochs has ended
        return b""
