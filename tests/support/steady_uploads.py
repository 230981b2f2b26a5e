"""Upload an image again and again while something else happens, and look at what embedded each of them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.common.local_session import CONFIG, session
from tests.support.pictures import encoded, picture

_PHOTO = encoded(picture())
_INTERVAL_SECONDS, _PATIENCE_SECONDS = 0.1, 60.0


class Uploads:
    """Uploads to a bucket, and their items.

    Attributes:
        keys: what was uploaded, in this order.
    """

    def __init__(self, endpoint: str, bucket: str, table: str) -> None:
        self._s3: Any = session().client("s3", endpoint_url=endpoint, config=CONFIG)
        self._dynamodb: Any = session().client("dynamodb", endpoint_url=endpoint, config=CONFIG)
        self._bucket, self._table = bucket, table
        self.keys: list[str] = []

    def upload(self) -> str:
        """Upload an image under a new key, and return the key."""
        key = f"{len(self.keys)}.png"
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=_PHOTO)
        self.keys.append(key)
        return key

    @contextmanager
    def continuing(self) -> Iterator[None]:
        """Upload images during the block."""
        ended = threading.Event()

        def run() -> None:
            while not ended.wait(_INTERVAL_SECONDS):
                self.upload()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def fingerprint(self, key: str) -> str:
        """The fingerprint of the model that embedded an upload; waits for it."""
        source, end = {"source": {"S": f"s3://{self._bucket}/{key}"}}, time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            item = self._dynamodb.get_item(TableName=self._table, Key=source, ConsistentRead=True).get("Item")
            if item:
                assert item["status"] == {"S": "success"}, item
                fingerprint: str = item["fingerprint"]["S"]
                return fingerprint
            time.sleep(0.05)
        raise AssertionError(f"{key} was not embedded")

    def fingerprints(self) -> set[str]:
        """The fingerprints of all uploads; waits for each."""
        return {self.fingerprint(key) for key in self.keys}
