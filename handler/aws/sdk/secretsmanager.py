"""The operation of AWS Secrets Manager that the function uses: AWS JSON 1.1."""

from collections.abc import Mapping
from typing import Any

import orjson

from handler.aws.sdk.endpoints import EndpointResolver
from handler.aws.sdk.errors import InvalidResponseError, ServiceError
from handler.aws.sdk.signed_client import SignedClient
from handler.aws.sdk.signing import UnsignedRequest
from handler.frozen import frozen

_OPERATION = "GetSecretValue"
_HEADERS = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"secretsmanager.{_OPERATION}"}


@frozen
class SecretsManager:
    """Secrets Manager in the function's region; thread-safe.

    Attributes:
        client: signs and sends requests.
        endpoints: resolves endpoints.
    """

    client: SignedClient
    endpoints: EndpointResolver

    def get_secret_value(self, secret_id: str) -> str:
        """The current text of a secret.

        Args:
            secret_id: its name or ARN.

        Raises:
            SdkError: the call failed, or the secret has no text. The error never contains the secret.
        """
        request = UnsignedRequest("POST", "/", (), _HEADERS, orjson.dumps({"SecretId": secret_id}))
        endpoint, region = self.endpoints.secretsmanager(), self.endpoints.region
        with self.client.send(endpoint, request, service="secretsmanager", region=region) as response:
            fields = _parse(response.read())
        if response.status != 200:
            raise _error(response.status, fields)
        text = fields.get("SecretString")
        if not isinstance(text, str):
            raise InvalidResponseError(f"{_OPERATION}: the secret has no text")
        return text


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        fields = orjson.loads(body)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _error(status: int, fields: Mapping[str, Any]) -> ServiceError:
    code = str(fields.get("__type") or "").rpartition("#")[2].partition(":")[0]
    message = str(fields.get("message") or fields.get("Message") or "")
    return ServiceError(_OPERATION, status, code or str(status), message, fields)
