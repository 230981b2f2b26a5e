"""Which objects the function processes: those of the uploads bucket that pass the stack's key filters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from handler.results.keys import source_of
from infra.operate.backfill.objects import ListedObject, Listing
from infra.operate.stack import UPLOADS, DeployedStack


@dataclass(frozen=True)
class Uploads:
    """The uploads bucket of a stack.

    Attributes:
        bucket: its name.
        prefix: of every key; may be empty.
        suffix: of every key; may be empty.
    """

    bucket: str
    prefix: str
    suffix: str

    @classmethod
    def of(cls, stack: DeployedStack) -> "Uploads":
        """The uploads bucket of a stack."""
        return cls(stack.resource(UPLOADS), *stack.key_filters)

    def has(self, source: str) -> bool:
        """Whether the function processes the object `s3://bucket/key`."""
        key = self.key_of(source)
        inside = source == source_of(self.bucket, key) and key.startswith(self.prefix)
        return inside and key.endswith(self.suffix)

    def key_of(self, source: str) -> str:
        """The key of `s3://bucket/key`."""
        return source.removeprefix("s3://").partition("/")[2]

    def slices(self, stack: DeployedStack) -> Iterator[Sequence[ListedObject]]:
        """All objects that the function processes, at most 100 at a time."""
        for part in Listing(stack.s3, self.bucket, self.prefix).slices(None):
            yield [
                listed for listed in part.objects if listed.key.endswith(self.suffix) and not listed.is_folder_marker
            ]
