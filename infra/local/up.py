"""Run the local AWS until it is stopped, and invoke its function from another terminal."""

import shlex
import sys
import time
from pathlib import Path
from typing import Any

import orjson
from botocore.exceptions import BotoCoreError, ClientError

from infra.bake.reuse import bundle_for
from infra.common.errors import OperatorError, UsageError
from infra.common.files import atomic_write
from infra.common.local_session import ACCESS_KEY
from infra.common.local_stack import STACK_FILE, Stack, page_address, running
from infra.common.paths import EVENTS, UP, shown
from infra.common.program import command
from infra.common.signals import Terminated
from infra.local.images import samples
from infra.local.outcomes import check_functions
from infra.local.server import LocalAws, local_aws
from infra.local.stack import deploy, describe

EXAMPLE_ACCOUNT = b"123456789012"  # the account in AWS's documentation and in events/

_POLL_SECONDS = 0.5


def up(port: int, api_port: int, model: str, *, as_json: bool = False) -> None:
    """Run the local AWS with the deployed stack until Ctrl-C or SIGTERM.

    Args:
        port: port on 127.0.0.1; 0 for a free one.
        api_port: likewise, of the HTTP API and the gallery.
        model: name of a manifest, or a bundle's directory.
        as_json: print the stack as JSON instead of commands to try.

    Raises:
        OperatorError: a port is in use, the deployment fails, or the local AWS ends unexpectedly.
    """
    _check_not_running()
    bundle = bundle_for(model)
    with local_aws(UP / "aws.log", port, api_port) as aws:
        stack = deploy(aws, bundle)
        check_functions(aws, stack)
        text = stack.to_json() if as_json else _help(aws, stack)
        try:
            _publish(stack)
            print(text, flush=True)
            while True:
                aws.check_alive()
                time.sleep(_POLL_SECONDS)
        except (KeyboardInterrupt, Terminated):
            print("\nStopping the local AWS.", file=sys.stderr if as_json else sys.stdout, flush=True)
        finally:
            STACK_FILE.unlink(missing_ok=True)


def _publish(stack: Stack) -> None:
    """Write the stack's file atomically: other programs wait for it and read it as soon as it exists."""
    with atomic_write(STACK_FILE) as file:
        file.write(stack.to_json().encode())


def _check_not_running() -> None:
    """Refuse to start a second one: both would write to the same log, and `invoke` could reach only one."""
    try:
        stack = Stack.from_json(STACK_FILE.read_text(encoding="utf-8"))
        stack.lambda_.list_functions()
    except (OSError, ValueError, KeyError, TypeError, BotoCoreError, ClientError):
        return  # no file, or the file of a crashed one
    raise OperatorError(
        f"the local AWS of this folder is already running at {stack.endpoint}: use it, or stop it with Ctrl-C"
    )


def _help(aws: LocalAws, stack: Stack) -> str:
    photo = _photo()
    key = photo.name
    item_key = orjson.dumps({"source": {"S": stack.source(key)}}).decode()
    request = orjson.dumps({"input_paths": [stack.source(key)]}).decode()
    search = orjson.dumps({"query": {"source": stack.source(key)}, "k": 5}).decode()
    return f"""\
The local AWS is running at {stack.endpoint} until Ctrl-C; log: {shown(aws.log)}
{describe(stack)}

  uploads bucket   {stack.uploads_bucket}
  results bucket   {stack.results_bucket}
  table            {stack.table}
  function         {stack.function}
  vector bucket    {stack.vector_bucket}
  indexer          {stack.indexer}
  search function  {stack.api}

Look at your pictures in a browser; what is behind # is the token, which the browser does not send to any server:

  {page_address(stack)}

Commands to try in another terminal:

  export AWS_ENDPOINT_URL={stack.endpoint} AWS_DEFAULT_REGION={stack.region}
  export AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={ACCESS_KEY}
  aws s3 cp {shlex.quote(shown(photo))} s3://{stack.uploads_bucket}/
  aws dynamodb get-item --table-name {stack.table} --key {shlex.quote(item_key)}
  aws s3 ls --recursive s3://{stack.results_bucket}/
  echo {shlex.quote(request)} |
    aws lambda invoke --function-name {stack.function} --payload fileb:///dev/stdin /dev/stdout
  echo {shlex.quote(search)} |
    aws lambda invoke --function-name {stack.api} --payload fileb:///dev/stdin /dev/stdout

  curl -H "Authorization: Bearer {stack.token}" "{stack.api_url}/items"

Without the aws command:

  {command("invoke direct-inline.json", make="invoke EVENT=events/direct-inline.json")}
  {command("status --local")}    (also: search, duplicates, index, forget, failures, redrive, get, export, backfill)
"""


def _photo() -> Path:
    """A sample photo; an example name if the samples cannot be downloaded."""
    try:
        return next(upload.path for upload in samples() if upload.key == "chelsea.png")
    except OperatorError:
        return Path("photo.jpg")


def invoke(event: str) -> None:
    """Invoke the running stack's function, and print its response as JSON.

    The account number in the example events is replaced by the local one, so that they name the local buckets.

    Args:
        event: a JSON file; `-` for standard input.

    Raises:
        OperatorError: the file is not JSON, nothing is running, or the function failed.
    """
    payload = _payload(event)
    stack = running()
    account = stack.uploads_bucket.split("-")[-4]  # NAME-uploads-ACCOUNT-us-east-1
    try:
        local = orjson.dumps(payload).replace(EXAMPLE_ACCOUNT, account.encode())
        answer = stack.lambda_.invoke(FunctionName=stack.function, Payload=local)
        response: Any = orjson.loads(answer["Payload"].read() or b"null")
    except (ClientError, BotoCoreError) as error:
        raise OperatorError(
            f"cannot invoke the function at {stack.endpoint} ({error}): check that "
            f"`{command('up', make='up')}` is running"
        ) from None
    if answer.get("FunctionError"):
        detail = response.get("errorMessage", response) if isinstance(response, dict) else response
        raise OperatorError(f"the function failed: {detail}")
    print(orjson.dumps(response, option=orjson.OPT_INDENT_2).decode())


def _payload(event: str) -> object:
    if not event:
        raise UsageError("no event given: pass a JSON file (make invoke EVENT=events/FILE.json)")
    path = Path(event)
    if not path.exists() and (EVENTS / path.name).is_file():
        path = EVENTS / path.name  # an example
    try:
        text = sys.stdin.buffer.read() if event == "-" else path.read_bytes()
    except OSError as error:
        raise OperatorError(f"cannot read {event} ({error.strerror}): pass a JSON file with an event") from None
    try:
        payload: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise OperatorError(f"{event} is not JSON: {error}") from None
    return payload
