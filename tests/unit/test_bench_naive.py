"""The yardstick is right: it makes the vectors that dropvec makes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from handler.embed import embed_image
from handler.model.encoder import load_encoder
from handler.model.self_check import cosine_of
from handler.timing import Stopwatch
from tests.support.pictures import encoded, picture

CODE = """
import json, sys
from tests.bench.naive.app import embed
print(json.dumps(embed(sys.stdin.buffer.read()).tolist()))
"""


@pytest.mark.parametrize("size", [(640, 481), (301, 517)])
def test_naive_makes_the_same_vectors(tiny_bundle: Path, size: tuple[int, int]) -> None:
    data = encoded(picture(*size), "JPEG", quality=95)
    environment = {
        "MODEL_DIR": str(tiny_bundle),
        "RESULTS_BUCKET": "results",
        "TABLE_NAME": "vectors",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PATH": os.environ["PATH"],
    }
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", CODE], input=data, env=environment, cwd=root, capture_output=True, check=True
    )
    theirs = np.array(json.loads(done.stdout), dtype=np.float32)
    ours = embed_image(load_encoder(tiny_bundle), data, 10**8, Stopwatch()).vector
    assert cosine_of(theirs, ours) >= 0.999
