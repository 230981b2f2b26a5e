"""One of several runtimes at once: load the model, wait for the start, embed a share of the uploads.

python -m tests.bench.runtime CORE KEY ...   prints `ready`, and starts when its standard input is closed
"""

import os
import sys

MESSAGES = 5


def main() -> None:
    """Run as a function with one vCPU."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    keys = sys.argv[2:]
    # Imported after pinning, because the number of the model's threads depends on the available cores.
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
        sys.exit("the function failed for some pictures")


if __name__ == "__main__":
    main()
