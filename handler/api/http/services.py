"""What the routes work with, made with the first HTTP request of a process."""

from handler.api.http.auth import TokenCheck
from handler.api.http.scope import Scope
from handler.api.items import ItemReader
from handler.api.search import Search
from handler.api.towers import Limits, Towers
from handler.aws.clients import Clients
from handler.aws.sdk.presigning import Presigner
from handler.aws.sdk.s3 import S3
from handler.aws.sdk.secretsmanager import SecretsManager
from handler.frozen import frozen
from handler.model.identity import ModelIdentity
from handler.settings import HttpSettings


@frozen
class Services:
    """The parts of the HTTP API.

    Attributes:
        identity: the model.
        search: None where the stack has no index.
        towers: the bundle.
        items: reads the table.
        s3: S3.
        presigner: signs URLs and forms.
        scope: the objects that the API may reach.
        limits: of pictures.
        token: checks the token; None where IAM decides who may send requests.
    """

    identity: ModelIdentity
    search: Search | None
    towers: Towers
    items: ItemReader
    s3: S3
    presigner: Presigner
    scope: Scope
    limits: Limits
    token: TokenCheck | None


def make_services(
    clients: Clients, settings: HttpSettings, towers: Towers, search: Search | None, table: str
) -> Services:
    """Put together what HTTP requests need; all clients share one pool of connections.

    Args:
        clients: of the function.
        settings: of the HTTP API.
        towers: the bundle.
        search: None where the stack has no index.
        table: the table's name.
    """
    secret = settings.token_secret
    return Services(
        identity=towers.identity,
        search=search,
        towers=towers,
        items=ItemReader(clients.dynamodb, table),
        s3=clients.s3,
        presigner=Presigner(clients.s3.endpoints, clients.s3.client.credentials),
        scope=Scope.of(settings),
        limits=towers.limits,
        token=None if secret is None else TokenCheck(SecretsManager(clients.s3.client, clients.s3.endpoints), secret),
    )
