"""The simulated Checkout on a loopback port, and the delivery of what it says."""

import argparse
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from local.checkout import Checkout, Reply
from local.deploy import Deployment
from local.engine import Engine

MAX_BODY_BYTES = 65_536
WEBHOOK_PATH = "/v1/webhooks/funding/stripe"
ATTEMPTS = 10
TIMEOUT_SECONDS = 30.0
PAUSE_SECONDS = 0.5
DELIVERED = range(200, 300)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, checkout: Checkout) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.checkout = checkout


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        """Calls, payments and controls."""
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= MAX_BODY_BYTES:
            self.close_connection = True
            self._reply(Reply(413))
            return
        self._answer("POST", self.rfile.read(length))

    def do_GET(self) -> None:
        """Questions, and the page to pay on."""
        self._answer("GET", b"")

    def log_message(self, *_: object) -> None:
        """Nothing: a request holds a key."""

    def _answer(self, method: str, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._reply(self.server.checkout.handle(method, self.path, headers, body))

    def _reply(self, reply: Reply) -> None:
        content = (reply.text if reply.text is not None else json.dumps(reply.document)).encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", "text/html" if reply.text is not None else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(checkout: Checkout, *, endpoint: str, port: int = 0) -> Iterator[str]:
    """The provider on a loopback port while the block runs; gives its address. What it says goes to `endpoint`."""
    server = _Server(port, checkout)
    checkout.base = f"http://127.0.0.1:{server.server_port}"
    stopping = threading.Event()
    serve = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name="checkout")
    say = threading.Thread(target=_deliver, args=(checkout, endpoint, stopping), daemon=True, name="checkout-events")
    serve.start()
    say.start()
    try:
        yield checkout.base
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        serve.join()
        say.join()


def parameters(port: int) -> dict[str, str]:
    """What the platform's template is told of a provider on this port, and of a bank account for tries."""
    address = f"http://127.0.0.1:{port}"
    return {
        "CheckoutUrl": address,
        "CheckoutSuccessUrl": f"{address}/paid",
        "CheckoutCancelUrl": f"{address}/not-paid",
        "BankIban": "DE89370400440532013000",
        "BankBic": "COBADEFFXXX",
        "BankHolder": "Small Peck (nobody's account)",
    }


@contextmanager
def in_front_of(engine: Engine, deployment: Deployment, *, port: int) -> Iterator[Checkout]:
    """The provider for a deployment, with the key and the signing secret that the deployment has of it."""
    known = engine.client("secretsmanager")

    def secret(name: str) -> str:
        return str(known.get_secret_value(SecretId=deployment.output(name))["SecretString"])

    checkout = Checkout(secret("CheckoutSecretArn"), secret("CheckoutEventsSecretArn"))
    endpoint = engine.api_url(deployment.output("ApiId")) + WEBHOOK_PATH
    with serving(checkout, endpoint=endpoint, port=port):
        yield checkout


def _deliver(checkout: Checkout, endpoint: str, stopping: threading.Event) -> None:
    """Sends each event until it is answered with 2xx, a few times; signs it anew each time, as Stripe does."""
    failures = 0
    while not stopping.wait(0.05 if not failures else PAUSE_SECONDS):
        with checkout.lock:
            text = checkout.outbox[0] if checkout.outbox else None
        if text is None:
            continue
        failures = 0 if _delivered(checkout, endpoint, text) else failures + 1
        if not failures or failures >= ATTEMPTS:
            failures = 0
            with checkout.lock:
                checkout.outbox.remove(text)


def _delivered(checkout: Checkout, endpoint: str, text: str) -> bool:
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", parts.path, text.encode(), checkout.signed(text))
        return connection.getresponse().status in DELIVERED
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="a simulated Stripe Checkout on loopback")
    parser.add_argument("--port", type=int, default=8901)
    parser.add_argument("--key", default="local-checkout-key")
    parser.add_argument("--signing-secret", default="local-checkout-signing-secret")
    parser.add_argument("--endpoint", required=True, help="where what it says goes")
    given = parser.parse_args()
    checkout = Checkout(given.key, given.signing_secret)
    with serving(checkout, endpoint=given.endpoint, port=given.port) as url:
        print(url, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
