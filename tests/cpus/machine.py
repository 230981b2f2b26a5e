"""Make the disk of a machine that runs only `tests.cpus.guest`: a boot loader, a kernel, and an initramfs.

The initramfs has the files that the guest opens on this machine, under the same paths: this Python, its packages, their
libraries and the bundle. So nothing needs to be installed. It does not need root.
"""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from infra.common.paths import ROOT
from tests.cpus import first, guest

_LOADER = "/lib64/ld-linux-x86-64.so.2"
_INIT = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
from {first.__name__} import main
main({{bundle!r}})
"""

# To save the emulator's time: no messages, no mitigations, one processor. Bochs's Skylake-X and Linux disagree about
# the size of the compacted XSAVE area, because of which Linux would disable AVX.
_COMMAND_LINE = "console=ttyS0 quiet loglevel=3 clearcpuid=xsavec,xsaves nosmp nokaslr mitigations=off panic=-1"
_BOOT = f"""DEFAULT linux
LABEL linux
  LINUX vmlinuz
  INITRD files
  APPEND {_COMMAND_LINE}
"""


def write_disk(disk: Path, kernel: Path, bundle: Path) -> None:
    """Write the disk: a FAT file system without partitions, which mtools and syslinux can make without mounting it."""
    folder = disk.parent
    archive = folder / "files"
    with archive.open("wb") as file:
        file.writelines(_archive(_tree(needed(bundle)), _INIT.format(bundle=str(bundle)).encode()))
    (folder / "syslinux.cfg").write_text(_BOOT, "utf-8")
    megabytes = (archive.stat().st_size + kernel.stat().st_size >> 20) + 16
    disk.unlink(missing_ok=True)
    cylinders = megabytes * 2048 // (16 * 63) + 1
    image = ["-i", str(disk)]
    _run("mformat", *image, "-C", "-t", str(cylinders), "-h", "16", "-s", "63", "::")
    _run("mcopy", *image, str(kernel), "::vmlinuz")
    _run("mcopy", *image, str(archive), str(folder / "syslinux.cfg"), "::")
    _run("syslinux", "--install", str(disk))
    archive.unlink()


def fetch_kernel(folder: Path) -> Path:
    """Download a kernel from the distribution's archive and unpack it into a folder, without installing it."""
    found = sorted(folder.glob("boot/vmlinuz-*"))
    if found:
        return found[-1]
    folder.mkdir(parents=True, exist_ok=True)
    depends = _run("apt-cache", "depends", "linux-image-cloud-amd64").split()
    package = next(word for word in depends if word.startswith("linux-image-") and word != "linux-image-cloud-amd64")
    _run("apt-get", "-o", "APT::Sandbox::User=root", "download", package, folder=folder)
    (archive,) = folder.glob("linux-image-*.deb")
    _run("dpkg", "-x", archive.name, ".", folder=folder)
    archive.unlink()
    shutil.rmtree(folder / "lib")
    return next(folder.glob("boot/vmlinuz-*"))


def needed(bundle: Path) -> set[Path]:
    """The files that the guest needs: those that it has loaded, those that a self-check opens, and the bundle."""
    opened = _opened_by(lambda: guest.self_check(bundle))
    modules = [module for module in sys.modules.values() if module is not None]
    loaded = {str(getattr(module, name, "")) for module in modules for name in ("__file__", "__cached__")}
    mapped = {line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text("utf-8").splitlines()}
    others = {sys.executable, str(Path(sys.prefix) / "pyvenv.cfg"), _LOADER, "/etc/ld.so.cache"}
    named = {Path(name) for name in opened | loaded | mapped | others if name.startswith("/")}
    files = {path for path in named | set(bundle.iterdir()) if path.is_file() and path.parts[1] not in {"proc", "sys"}}
    return files | {link for file in files if ".so" in file.name for link in _names_of(file)}


def _opened_by(action: Callable[[], object]) -> set[str]:
    names: set[str] = set()
    watching = True

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event == "open" and isinstance(arguments[0], str):
            names.add(os.path.abspath(arguments[0]))  # noqa: PTH100 - does not resolve links

    sys.addaudithook(watch)
    action()
    watching = False
    return names


def _names_of(library: Path) -> Iterator[Path]:
    """Symbolic links in a library's folder to the library: programs load it by one of them."""
    for path in library.parent.glob(f"{library.name.partition('.so')[0]}*"):
        if path.is_symlink() and path.resolve() == library.resolve():
            yield path


def _tree(files: set[Path]) -> list[Path]:
    """The files, and all folders and links of their paths, with each folder before its content."""
    paths: set[Path] = set()
    left = list(files)
    while left:
        path = left.pop()
        link = next((part for part in (*reversed(path.parents), path) if part.is_symlink()), None)
        if link is not None:
            target = link.parent / link.readlink()
            left.append(Path(os.path.normpath(target / path.relative_to(link))))
        path = link or path
        paths |= {path, *path.parents}
    return sorted(paths - {Path("/")})


def _archive(paths: list[Path], init: bytes) -> Iterator[bytes]:
    """An initramfs with the files: cpio in format newc (early-userspace/buffer-format.rst of the kernel)."""
    for path in paths:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield _entry(str(path), stat.S_IFLNK | 0o777, os.fsencode(path.readlink()))
        elif stat.S_ISDIR(mode):
            yield _entry(str(path), stat.S_IFDIR | 0o755)
        else:
            yield _entry(str(path), stat.S_IFREG | 0o755, path.read_bytes())
    for folder in {"/dev", "/proc", "/sys"} - {str(path) for path in paths}:
        yield _entry(folder, stat.S_IFDIR | 0o755)
    yield _entry("/dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    yield _entry("/dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    yield _entry("/init", stat.S_IFREG | 0o755, init)
    yield _entry("/TRAILER!!!", 0)


def _entry(path: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    name = os.fsencode(path[1:]) + b"\0"
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def _run(*command: str, folder: Path | None = None) -> str:
    return subprocess.run(command, cwd=folder, check=True, text=True, stdout=subprocess.PIPE).stdout
