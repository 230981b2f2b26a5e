"""The endpoints of the services, from the region and the environment variables of all AWS SDKs.

Sources: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html,
https://docs.aws.amazon.com/sdkref/latest/guide/feature-endpoints.html
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from handler.aws.sdk.signing import percent_encode
from handler.errors import SettingsError
from handler.frozen import frozen

# Of each partition: prefix of its regions, DNS suffix, DNS suffix of dual-stack endpoints.
_PARTITIONS = (
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("", "amazonaws.com", "api.aws"),
)
_REGION = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:.]*:[0-9a-f:.]*")
# A certificate for *.s3.… is valid for one more label, so a bucket name with dots stays in the path.
_HOST_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_PORTS = {"http": 80, "https": 443}
# The services in the names of the variables, in the order of the resolver's fields.
_CUSTOM = ("S3", "DYNAMODB", "S3VECTORS", "SECRETS_MANAGER", "SQS")


@frozen
class Endpoint:
    """A server, and the prefix of paths on it.

    Attributes:
        scheme: `http` or `https`.
        host: host name or IP address.
        port: TCP port.
        path: percent-encoded prefix; empty, or with a leading and without a trailing `/`.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def bracketed_host(self) -> str:
        """The host, in brackets if it is an IPv6 address."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def authority(self) -> str:
        """The `Host` header, without the scheme's default port."""
        host = self.bracketed_host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@frozen
class EndpointResolver:
    """Resolves the endpoints of the services.

    Attributes:
        region: the function's region, and the assumed region of a bucket.
        fips: whether to use FIPS 140 endpoints.
        dualstack: whether to use endpoints with IPv4 and IPv6.
        custom_s3: replaces all endpoints of S3; None without one.
        custom_dynamodb: replaces all endpoints of DynamoDB; None without one.
        custom_s3vectors: replaces all endpoints of S3 Vectors; None without one.
        custom_secretsmanager: replaces all endpoints of Secrets Manager; None without one.
        custom_sqs: replaces all endpoints of SQS; None without one.
    """

    region: str
    fips: bool
    dualstack: bool
    custom_s3: Endpoint | None
    custom_dynamodb: Endpoint | None
    custom_s3vectors: Endpoint | None
    custom_secretsmanager: Endpoint | None = None
    custom_sqs: Endpoint | None = None

    def dynamodb(self) -> Endpoint:
        """The endpoint of DynamoDB."""
        if self.custom_dynamodb:
            return self.custom_dynamodb
        suffix, dual_suffix = _suffixes(self.region)
        # In GovCloud, the standard endpoint is the FIPS endpoint.
        fips = "-fips" if self.fips and (self.dualstack or not self.region.startswith("us-gov-")) else ""
        return _https(f"dynamodb{fips}.{self.region}.{dual_suffix if self.dualstack else suffix}")

    def s3vectors(self) -> Endpoint:
        """The endpoint of S3 Vectors, which has IPv4 and IPv6 everywhere."""
        if self.custom_s3vectors:
            return self.custom_s3vectors
        return _https(f"s3vectors{'-fips' if self.fips else ''}.{self.region}.{_suffixes(self.region)[1]}")

    def secretsmanager(self) -> Endpoint:
        """The endpoint of Secrets Manager."""
        if self.custom_secretsmanager:
            return self.custom_secretsmanager
        suffix, dual_suffix = _suffixes(self.region)
        # In these partitions the standard names have IPv6, too.
        has_both = not self.dualstack or suffix in {"amazonaws.com", "amazonaws.com.cn"}
        fips = "-fips" if self.fips else ""
        return _https(f"secretsmanager{fips}.{self.region}.{suffix if has_both else dual_suffix}")

    def sqs(self) -> Endpoint:
        """The endpoint of SQS."""
        if self.custom_sqs:
            return self.custom_sqs
        suffix, dual_suffix = _suffixes(self.region)
        # In GovCloud, the standard endpoint is the FIPS endpoint.
        fips = "-fips" if self.fips and (self.dualstack or not self.region.startswith("us-gov-")) else ""
        return _https(f"sqs{fips}.{self.region}.{dual_suffix if self.dualstack else suffix}")

    def s3(self, bucket: str, region: str) -> Endpoint:
        """The endpoint of a bucket in a region; it includes the bucket."""
        if self.custom_s3:
            return replace(self.custom_s3, path=f"{self.custom_s3.path}/{percent_encode(bucket)}")
        fips, dualstack = "-fips" if self.fips else "", ".dualstack" if self.dualstack else ""
        host = f"s3{fips}{dualstack}.{region}.{_suffixes(region)[0]}"
        return (
            _https(f"{bucket}.{host}") if _HOST_LABEL.fullmatch(bucket) else _https(host, f"/{percent_encode(bucket)}")
        )


def read_endpoints(environment: Mapping[str, str]) -> EndpointResolver:
    """Read the environment variables that all AWS SDKs share.

    Raises:
        SettingsError: the region is missing, or a variable is invalid.
    """
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region:
        raise SettingsError("AWS_REGION is not set; set it to the region of the buckets and the table")
    if not is_region(region):
        raise SettingsError(f"AWS_REGION is {region!r}; set it to a region's name, such as us-east-1")
    fips, dualstack = (_is_true(environment, f"AWS_USE_{name}_ENDPOINT") for name in ("FIPS", "DUALSTACK"))
    custom = [_custom(environment, service) for service in _CUSTOM]
    if fips and region.startswith("cn-") and not custom[0]:
        raise SettingsError(f"AWS_USE_FIPS_ENDPOINT is set, but S3 has no FIPS endpoint in {region}; unset it")
    return EndpointResolver(region, fips, dualstack, *custom)


def is_region(text: str) -> bool:
    """Whether this is a syntactically valid region, which can be part of a host name."""
    return _REGION.fullmatch(text) is not None


def dns_suffix(region: str) -> str:
    """The DNS suffix of the region's partition, such as amazonaws.com."""
    return _suffixes(region)[0]


def _suffixes(region: str) -> tuple[str, str]:
    return next((suffix, dual_suffix) for prefix, suffix, dual_suffix in _PARTITIONS if region.startswith(prefix))


def _https(host: str, path: str = "") -> Endpoint:
    return Endpoint("https", host, 443, path)


def _is_true(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() == "true"


def _custom(environment: Mapping[str, str], service: str) -> Endpoint | None:
    if _is_true(environment, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        return None
    for name in (f"AWS_ENDPOINT_URL_{service}", "AWS_ENDPOINT_URL"):
        if environment.get(name):
            return _parse(name, environment[name])
    return None


def _parse(name: str, url: str) -> Endpoint:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or parts.query or parts.fragment:
        raise SettingsError(f"{name} is {url!r}; set it to a URL such as https://host:port")
    return Endpoint(parts.scheme, host, port or _PORTS[parts.scheme], percent_encode(parts.path.rstrip("/"), safe="/%"))
