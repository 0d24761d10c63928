"""boto3 clients from one session, each made when something is first asked of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from boto3.session import Session

# Connections are kept open while a warm function sleeps; a dead one must be noticed well within a request's time.
_CONNECT_SECONDS: Final = 2
_READ_SECONDS: Final = 8
_ATTEMPTS: Final = 4


class Clients:
    """The clients of a process. Addresses follow AWS_ENDPOINT_URL where that is set."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._clients: dict[str, Any] = dict(given)
        self._session: Session | None = None

    def get(self, service: str) -> Any:
        """The client of a service; holding it costs nothing."""
        if service not in self._clients:
            self._clients[service] = LaterClient(self, service)
        return self._clients[service]

    def make(self, service: str) -> Any:
        """A new client: tens of milliseconds of a cold start, and the import of boto3 with the first."""
        from boto3.session import Session
        from botocore.config import Config

        if self._session is None:
            self._session = Session()
        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"mode": "standard", "max_attempts": _ATTEMPTS},
            # Presigned forms and addresses must carry the signature that new regions accept.
            signature_version="s3v4" if service == "s3" else None,
        )
        # The overloads of the session name every service; which one this is, is known to the caller.
        return cast("Any", self._session).client(service, config=config)


class LaterClient:
    """Stands for a client until something is asked of it."""

    def __init__(self, clients: Clients, service: str) -> None:
        self._clients = clients
        self._service = service

    def __getattr__(self, name: str) -> Any:
        # Only called for what is not there yet, so what was found once is kept.
        if name == "_client":
            self._client = self._clients.make(self._service)
            return self._client
        found = getattr(self._client, name)
        setattr(self, name, found)
        return found
