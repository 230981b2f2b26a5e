import functools
import signal
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

# A shell that starts the tests in the background has them ignore Ctrl-C, and nohup the end of the session. Every
# process that they start would inherit that, and some tests are about these signals. A handler is not inherited, even
# an idle one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda _signum, _frame: None)


def _read_service_descriptions_once() -> None:
    """Each session of boto3 lists its services and reads their descriptions, up to 1 MB, again.

    The tests make hundreds of sessions.
    """
    from botocore.loaders import JSONFileLoader, Loader

    read = JSONFileLoader.load_file

    @functools.cache
    def read_once(path: str) -> Any:
        return read(JSONFileLoader(), path)

    def load_file(_loader: JSONFileLoader, file_path: str) -> Any:
        return read_once(file_path)

    JSONFileLoader.load_file = load_file  # type: ignore[method-assign,assignment]
    list_services = functools.cache(Loader().list_available_services)
    Loader.list_available_services = lambda _loader, type_name: list_services(type_name)  # type: ignore[method-assign,assignment]


with suppress(ImportError):  # the environment of the export has no botocore
    _read_service_descriptions_once()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the end-to-end tests over the run: they mostly wait, and the others compute meanwhile.

    The files with the most tests come first, and the last ones before the end, so that no process is left with a long
    file when the others have finished.
    """
    sizes = Counter(item.path for item in items)
    waiting = [path for path, _tests in sizes.most_common() if path.parent.name == "end_to_end"]
    computing = [path for path in sizes if path not in waiting]
    places = {path: number / len(computing) for number, path in enumerate(computing)}
    places |= {path: 0.8 * number / len(waiting) for number, path in enumerate(waiting)}
    items.sort(key=lambda item: places[item.path])
