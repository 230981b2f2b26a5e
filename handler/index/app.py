"""The entry point of the function `Indexer`: a batch of the table's stream -> vectors put into and deleted from indexes.

A batch is applied as a whole: where a call fails after its retries, the invocation fails, Lambda halves the batch and
delivers it again, and what was applied already is applied again with the same effect.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from handler.aws.clients import make_s3vectors
from handler.errors import DropvecError, SettingsError
from handler.index.plan import plan_of
from handler.index.stream import read_stream
from handler.index.writer import Applied, IndexWriter
from handler.timing import Deadline, LambdaContext

NAMESPACE = "dropvec"


def start(environment: Mapping[str, str]) -> IndexWriter:
    """Connect to the vector bucket that the environment names.

    Raises:
        SettingsError: VECTOR_BUCKET is not set, or one of the SDK's variables is wrong.
    """
    bucket = environment.get("VECTOR_BUCKET", "")
    if not bucket:
        raise SettingsError("VECTOR_BUCKET is not set; set it to the S3 vector bucket that holds the indexes")
    return IndexWriter(make_s3vectors(bucket))
