"""Where S3 and DynamoDB are: from the region and the SDKs' own environment variables.

Sources: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html,
https://docs.aws.amazon.com/sdkref/latest/guide/feature-endpoints.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from handler.aws.sdk.signing import encode
from handler.errors import SettingsError

# What the regions of a partition begin with, the end of its names, and of those that have IPv6 too.
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
# A certificate for *.s3.… covers one label, so a name with dots stays in the path.
_HOST_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A server, and what paths on it begin with.

    Attributes:
        scheme: `http` or `https`.
        host: its name or number.
        port: its TCP port.
        path: encoded, empty or with a `/` before and none behind.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def authority(self) -> str:
        """The `Host` header: with the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What decides where a request goes.

    Attributes:
        region: of the function, and of buckets until they say otherwise.
        fips: whether only FIPS 140 endpoints will do.
        dualstack: whether endpoints are to have IPv6 too.
        custom_s3: takes the place of S3's own, whatever else is asked for, or None.
        custom_dynamodb: likewise.
    """

    region: str
    fips: bool
    dualstack: bool
    custom_s3: Address | None
    custom_dynamodb: Address | None

    def dynamodb(self) -> Address:
        """Where DynamoDB is."""
        if self.custom_dynamodb:
            return self.custom_dynamodb
        suffix, dual_suffix = _suffixes(self.region)
        # In GovCloud the one name is the FIPS endpoint's.
        fips = "-fips" if self.fips and (self.dualstack or not self.region.startswith("us-gov-")) else ""
        return _https(f"dynamodb{fips}.{self.region}.{dual_suffix if self.dualstack else suffix}")

    def s3(self, bucket: str, region: str) -> Address:
        """Where a bucket of a region is; the address includes the bucket."""
        if self.custom_s3:
            address = self.custom_s3
            return Address(address.scheme, address.host, address.port, f"{address.path}/{encode(bucket)}")
        fips, dualstack = "-fips" if self.fips else "", ".dualstack" if self.dualstack else ""
        host = f"s3{fips}{dualstack}.{region}.{_suffixes(region)[0]}"
        return _https(f"{bucket}.{host}") if _HOST_LABEL.fullmatch(bucket) else _https(host, f"/{encode(bucket)}")


def read_endpoints(environment: Mapping[str, str]) -> Endpoints:
    """Read the SDKs' own variables.

    Raises:
        SettingsError: the region is missing, or a variable is wrong.
    """
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region:
        raise SettingsError("AWS_REGION is not set; set it to the region of the buckets and the table")
    if not is_region(region):
        raise SettingsError(f"AWS_REGION is {region!r}; set it to a region's name, such as us-east-1")
    fips, dualstack = (_is_set(environment, f"AWS_USE_{name}_ENDPOINT") for name in ("FIPS", "DUALSTACK"))
    custom = [_custom(environment, service) for service in ("S3", "DYNAMODB")]
    if fips and region.startswith("cn-") and not custom[0]:
        raise SettingsError(f"AWS_USE_FIPS_ENDPOINT is set, and S3 has no FIPS endpoint in {region}; unset it")
    return Endpoints(region, fips, dualstack, *custom)


def is_region(text: str) -> bool:
    """Whether this can be a region's name, and so part of a host's."""
    return _REGION.fullmatch(text) is not None


def _suffixes(region: str) -> tuple[str, str]:
    return next((suffix, dual_suffix) for prefix, suffix, dual_suffix in _PARTITIONS if region.startswith(prefix))


def _https(host: str, path: str = "") -> Address:
    return Address("https", host, 443, path)


def _is_set(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() == "true"


def _custom(environment: Mapping[str, str], service: str) -> Address | None:
    if _is_set(environment, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        return None
    for name in (f"AWS_ENDPOINT_URL_{service}", "AWS_ENDPOINT_URL"):
        if environment.get(name):
            return _parse(name, environment[name])
    return None


def _parse(name: str, url: str) -> Address:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or parts.query or parts.fragment:
        raise SettingsError(f"{name} is {url!r}; set it to a URL such as https://host:port")
    return Address(parts.scheme, host, port or _PORTS[parts.scheme], encode(parts.path.rstrip("/"), safe="/%"))
