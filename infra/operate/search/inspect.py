"""Read all that there is of one key, strongly consistent: the object, the item, and the vector in each index."""

from collections.abc import Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError

from handler.index.names import vector_key
from infra.operate.search.differences import Difference, compare_object, compare_vectors
from infra.operate.search.indexes import Index, Indexes, require_indexes
from infra.operate.search.items import read_items
from infra.operate.search.uploads import Uploads
from infra.operate.stack import DeployedStack


@dataclass(frozen=True)
class Inspector:
    """Reads keys of one stack.

    Attributes:
        stack: the stack.
        indexes: its vector bucket.
        which: all indexes of it.
        uploads: which objects the function processes.
    """

    stack: DeployedStack
    indexes: Indexes
    which: Sequence[Index]
    uploads: Uploads

    @classmethod
    def of(cls, stack: DeployedStack) -> "Inspector":
        """Prepare to read keys of a stack."""
        indexes = require_indexes(stack)
        return cls(stack, indexes, indexes.find_all(), Uploads.of(stack))

    def inspect(self, source: str) -> list[Difference]:
        """How the object, the item and the vectors of a key differ now."""
        item = read_items(self.stack, [source]).get(source)
        vectors = {
            index.name: vector
            for index in self.which
            for vector in self.indexes.get(index.name, [vector_key(source)], data=True, metadata=True)
        }
        differences = list(compare_vectors(source, item, vectors))
        if self.uploads.has(source):
            differences += compare_object(source, item, self._etag(source))
        return differences

    def _etag(self, source: str) -> str | None:
        try:
            answer = self.stack.s3.head_object(Bucket=self.uploads.bucket, Key=self.uploads.key_of(source))
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"404", "NoSuchKey", "NotFound"}:
                raise
            return None
        return answer["ETag"].strip('"')
