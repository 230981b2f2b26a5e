"""One runtime of several: gets ready, waits for the word, embeds its share of the uploads.

python -m tests.bench.runtime CORE KEY ...   says `ready`, and begins when its standard input ends
"""

import os
import sys

MESSAGES = 5


def main() -> None:
    """Work as a function with one vCPU does."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    keys = sys.argv[2:]
    # After the core is chosen: the model takes as many threads as there are.
    from tests.bench.sides import with_dropvec
    from tests.bench.timed import captured
    from tests.bench.world import sqs_event

    batches = [sqs_event(keys[start : start + MESSAGES]) for start in range(0, len(keys), MESSAGES)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    with captured():
        answers = [with_dropvec.handler(batch) for batch in batches]
    if any(answer != {"batchItemFailures": []} for answer in answers):
        sys.exit("some of the bench's own pictures failed")


if __name__ == "__main__":
    main()
