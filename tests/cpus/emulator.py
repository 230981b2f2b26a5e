"""Bochs: an emulator that executes every instruction itself, AVX-512 too, so the CPU that it runs on does not matter.

The machine speaks on its serial port, which is a file here.
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

# Debian's packages, each with a file that it brings.
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
    """The machine did not say what it should; the text says what it did say."""


def missing() -> list[str]:
    """The packages that lack for this."""
    return [package for package, file in PACKAGES.items() if not any(Path("/").glob(file))]


def run(cpu: str, disk: Path, mark: str, seconds: float, told: Callable[[str], None]) -> str:
    """Boot a disk and wait for a line that begins with a mark; then the machine is switched off.

    Args:
        cpu: one of those that `bochs-bin --help cpu` lists.
        disk: the image.
        mark: how the line begins.
        seconds: the time to wait.
        told: takes every other line.

    Returns:
        The rest of the line.

    Raises:
        EmulatorError: no such line came.
    """
    serial, settings, log = (disk.with_name(f"{cpu}.{kind}") for kind in ("serial", "bochsrc", "log"))
    settings.write_text(_SETTINGS.format(cpu=cpu, disk=disk, serial=serial, log=log), "utf-8")
    commands = disk.with_name("go")
    commands.write_text("continue\n", "utf-8")  # Debian's Bochs has a debugger, which waits to be told
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
        return _line(process, serial, mark, time.monotonic() + seconds, told)
    finally:
        process.kill()
        process.wait()


def _line(
    process: "subprocess.Popen[bytes]", serial: Path, mark: str, deadline: float, told: Callable[[str], None]
) -> str:
    seen = 0
    while time.monotonic() < deadline:
        ended = process.poll() is not None  # asked first, so that its last words are read
        lines = serial.read_text("utf-8", "replace").split("\n") if serial.exists() else [""]
        for line in lines[seen:-1]:
            if line.startswith(mark):
                return line.removeprefix(mark)
            told(line)
            ended = ended or "Kernel panic" in line
        seen = len(lines) - 1
        if ended:
            raise EmulatorError(f"the machine ended early; see {serial} and {serial.with_suffix('.log')}")
        time.sleep(1)
    raise EmulatorError(f"the machine took too long; see {serial} and {serial.with_suffix('.log')}")


def _read_screens(terminal: int) -> None:
    """Read what Bochs writes to its terminal, and the screen of its machine, on a terminal that it names there.

    Nobody looks at either, but a terminal that is not read is full one day, and then Bochs stands still.
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
