"""The one operation of SQS that the function uses: AWS JSON 1.0."""

from typing import Any

import orjson

from handler.aws.sdk.endpoints import EndpointResolver
from handler.aws.sdk.errors import ServiceError
from handler.aws.sdk.signed_client import SignedClient
from handler.aws.sdk.signing import UnsignedRequest
from handler.frozen import frozen

_OPERATION = "ChangeMessageVisibility"


@frozen
class SQS:
    """SQS in the function's region; thread-safe.

    Attributes:
        client: signs and sends requests.
        endpoints: resolves endpoints.
    """

    client: SignedClient
    endpoints: EndpointResolver

    def change_visibility(self, queue_arn: str, receipt_handle: str, seconds: int) -> None:
        """Change when a received message becomes visible again.

        Args:
            queue_arn: ARN of the queue.
            receipt_handle: of the message's latest receive.
            seconds: from now; 0 to 43,200.

        Raises:
            SdkError: the call failed.
        """
        endpoint, region = self.endpoints.sqs(), self.endpoints.region
        account, name = queue_arn.split(":")[4:6]
        url = f"{endpoint.scheme}://{endpoint.authority}{endpoint.path}/{account}/{name}"
        request = {"QueueUrl": url, "ReceiptHandle": receipt_handle, "VisibilityTimeout": seconds}
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"AmazonSQS.{_OPERATION}"}
        unsigned = UnsignedRequest("POST", "/", (), headers, orjson.dumps(request))
        with self.client.send(endpoint, unsigned, service="sqs", region=region) as response:
            body = response.read()
        if response.status != 200:
            raise _error(response.status, _parse(body))


def _parse(body: bytes) -> dict[str, Any]:
    """The fields of an error; empty if it is not JSON."""
    try:
        fields = orjson.loads(body)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _error(status: int, fields: dict[str, Any]) -> ServiceError:
    code = str(fields.get("__type") or "").rpartition("#")[2]
    return ServiceError(_OPERATION, status, code or str(status), str(fields.get("message") or ""), fields)
