import functools
import signal
from typing import Any

from botocore.loaders import JSONFileLoader

# A shell that starts the tests in the background has them ignore Ctrl-C, and nohup the end of the session. Every
# process that they start would inherit that, and some tests are about these signals. A handler is not inherited, even
# an idle one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda _signum, _frame: None)


# Each session of boto3 reads the descriptions of its services again, some of them 1 MB of JSON, and the tests make
# hundreds of sessions.
_read = JSONFileLoader.load_file


@functools.cache
def _read_once(path: str) -> Any:
    return _read(JSONFileLoader(), path)


def _load_file(_loader: JSONFileLoader, file_path: str) -> Any:
    return _read_once(file_path)


JSONFileLoader.load_file = _load_file  # type: ignore[method-assign,assignment]
