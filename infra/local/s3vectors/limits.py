"""The limits of Amazon S3 Vectors.

Sources: AWS's "Limitations and restrictions" of S3 Vectors, and the constraints in botocore's service model, with which
a test compares them. That the body's limit is inclusive and a key's holds for its UTF-8 form, too, was measured:
https://github.com/FarukAda/aws-langchain-s3-vector-ts, docs/evidence.
"""

BODY_BYTES = 20 * 1024 * 1024  # inclusive

NAME_LENGTH = (3, 63)
KEY_LENGTH = (1, 1024)  # characters; the UTF-8 form may not be longer either
DIMENSION = (1, 4096)
PUT_VECTORS = (1, 500)
DELETE_VECTORS = (1, 500)
GET_VECTORS = (1, 100)
TOP_K = (1, 10_000)
QUERY_PAGE = 100

LIST_BUCKETS = (1, 500)
LIST_INDEXES = (1, 500)
LIST_VECTORS = (1, 1000)
LIST_VECTORS_DEFAULT = 500
LIST_VECTORS_BYTES = 1024 * 1024  # of vectors processed for one page
SEGMENT_COUNT = (1, 16)
SEGMENT_INDEX = (0, 15)

METADATA_BYTES = 40 * 1024
METADATA_KEYS = 50
FILTERABLE_BYTES = 2 * 1024
NON_FILTERABLE_KEYS = (1, 10)
NON_FILTERABLE_KEY_LENGTH = (1, 63)
FILTER_CONSTRAINTS = 100

NAME_TOKEN_LENGTH = (1, 512)
LIST_TOKEN_LENGTH = (1, 2048)
QUERY_TOKEN_LENGTH = (1, 4096)
QUERY_TOKEN_SECONDS = 300.0  # AWS: "several minutes"

TAGS = 50
TAG_KEY_LENGTH = (1, 128)
TAG_VALUE_LENGTH = (0, 256)
KMS_KEY_LENGTH = (1, 2048)
