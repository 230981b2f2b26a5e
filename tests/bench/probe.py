"""The measured process: import one side, report when it is ready, embed a file, report when that is done.

    python -P probe.py MODULE [embed FILE | handle EVENT.json | session]

It imports only modules that the interpreter has already loaded, because further imports would count as the side's.
"""

import os
import sys
import time


def mark(name: str, value: str = "null") -> None:
    """Report the time, the peak of resident memory, and a JSON value to the benchmarks."""
    now = time.monotonic_ns()
    with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - pathlib is not loaded in a bare interpreter
        (peak,) = (line.split()[1] for line in status if line.startswith(b"VmHWM"))
    line = f'{{"name": "{name}", "at": {now}, "peak_kib": {int(peak)}, "value": {value}}}\n'
    os.write(int(os.environ["BENCH_MARKS"]), line.encode())


def read(path: str) -> bytes:
    """The bytes of a file."""
    with open(path, "rb") as file:  # noqa: PTH123 - as above
        return file.read()


def files() -> str:
    """Every file that this process has mapped or imported, as JSON."""
    import json

    with open("/proc/self/maps") as maps:  # noqa: PTH123 - as above
        mapped = {line.split(maxsplit=5)[-1].strip() for line in maps if "/" in line}
    imported = [getattr(module, "__cached__", None) or "" for module in list(sys.modules.values())]
    imported += [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    return json.dumps(sorted(name for name in {*mapped, *imported} if os.path.isfile(name)))  # noqa: PTH113 - as above


def main() -> None:
    """Run the program; see the module's docstring."""
    name, *rest = sys.argv[1:]
    __import__(name)
    side = sys.modules[name]
    mark("ready")
    task, path = (*rest, "", "")[:2]
    if task == "embed":
        data = read(path)
        vector = side.embed(data)
        mark("vector", str([float(value) for value in vector]))
        for number in range(int(os.environ.get("BENCH_WARM", "0"))):
            begun = time.perf_counter()
            side.embed(data)
            mark(f"warm-{number}", str(1000 * (time.perf_counter() - begun)))
    elif task == "handle":
        import json

        side.handler(json.loads(read(path)), None)
        mark("stored")
    elif task == "session":
        side.load()
        mark("session")
    if os.environ.get("BENCH_FILES"):
        mark("files", files())
    sys.stdout.flush()
    os._exit(0)  # the interpreter's clean-up is not part of a cold start


if __name__ == "__main__":
    main()
