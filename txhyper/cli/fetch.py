"""
One fetch, from a command line's settings to an exit status.

Owns the coroutine that the console script, the twist plugin and the service share: it starts the
demo server where asked, sends the request, pours the body into the output, and closes what it
opened. It owns no process: it installs no signal handler, stops no reactor and never exits;
:mod:`txhyper.cli.service` does that. :func:`make_agent` and :func:`make_demo_server` are the only
places that touch the layers below.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer
from zope.interface import implementer

from txhyper.cli.options import Settings
from txhyper.cli.render import (
    DEFECT,
    Output,
    Streams,
    cause,
    describe,
    exit_status,
    response_head,
)
from txhyper.errors import TimedOut

__all__ = ["Fetching", "fetch", "make_agent", "make_demo_server"]

T = TypeVar("T")
#: Ends something that a fetch opened.
Closer = Callable[[], "Deferred[Any]"]
#: Provides IReactorCore, IReactorTime, IReactorTCP and more: no one interface says so.
Reactor = Any

#: Seconds that a peer may take to let go of a connection on which nothing is left to say.
PATIENCE = 1.0


def make_agent(
    reactor: Reactor, settings: Settings, trusted: bytes | None, log: Callable[[str], None]
) -> tuple[IAgent, Closer]:
    """
    The client for these settings, and what closes its connections.

    :param trusted: PEM text of the certificate authorities to trust; None for the platform's.
    :param log: told one line for each frame, under ``--debug``.
    """
    from txhyper import Agent, ConnectionPool, Proxy, proxyFromEnvironment
    from txhyper.client import tls

    shown = None
    if settings.certificate is not None:
        shown = tls.ClientCertificate(settings.certificate, settings.key)
    if settings.insecure:
        policy = tls.unverifiedPolicy(shown)
    elif trusted is not None:
        policy = tls.policyTrusting(trusted, shown)
    else:
        policy = tls.defaultPolicy(shown)
    limits: dict[str, Any] = {}
    if settings.timeout is not None:
        limits["handshakeTimeout"] = settings.timeout
    pool = ConnectionPool(reactor, onFrame=log if settings.debug else None, **limits)
    proxy: Any = None
    if settings.proxy:
        proxy = Proxy(settings.proxy, contextFactory=policy)
    elif settings.proxy is None and not settings.demo:
        # No proxy of the environment leads to a server in this process.
        proxy = proxyFromEnvironment(policy)
    agent = Agent(reactor, policy, connectTimeout=settings.timeout, pool=pool, proxy=proxy)
    return agent, pool.closeCachedConnections


def make_demo_server(reactor: Reactor) -> Any:
    """The server of ``--demo``, not started yet."""
    from txhyper.testing.server import DemoServer

    return DemoServer(reactor)


@implementer(IBodyProducer)
class JSONBody:
    """A request body that is small and at hand: all of it is given away at once."""

    def __init__(self, data: bytes) -> None:
        self.length = len(data)
        self._data = data

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write everything; it may be asked for again, when a request is sent again."""
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Nothing is left to hold back."""

    def resumeProducing(self) -> None:
        """Nothing is left to send."""

    def stopProducing(self) -> None:
        """Nothing is left to stop."""


class BodyWriter(Protocol):
    """
    Pours a body into an Output as it comes.

    :ivar done: fires at the end of a complete body, with False when only the end of the
        connection says that it is complete. It fails with what cut the body short, or with the
        OSError that the Output raised; then the stream is reset. Cancelling it resets the
        stream as well.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self.done: Deferred[bool] = Deferred(lambda _: self._give_up(CancelledError()))

    def dataReceived(self, data: bytes) -> None:
        """Write, unless the end of it is already known."""
        if self.done.called:
            return
        try:
            self._output.write(data)
        except OSError as error:
            self._give_up(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell how the body ended."""
        if self.done.called:
            return
        if isinstance(reason.value, ResponseDone):
            self.done.callback(True)
        elif isinstance(reason.value, PotentialDataLoss):
            self.done.callback(False)
        else:
            self.done.errback(reason)

    def _give_up(self, error: Exception) -> None:
        # First, because the transport may report the end that it is asked for at once.
        self.done.errback(error)
        assert self.transport is not None
        self.transport.loseConnection()


def limited(reactor: Reactor, seconds: float | None, work: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Start the work, and cancel it when the seconds are over."""

    def over(result: object, limit: float) -> NoReturn:
        raise TimedOut(f"the fetch did not end within {limit:g} s")

    running = Deferred.fromCoroutine(work)
    if seconds is not None:
        running.addTimeout(seconds, reactor, onTimeoutCancel=over)
    return running


async def close_patiently(reactor: Reactor, close: Closer) -> None:
    """
    Wait a moment for something to close.

    How that ends changes nothing any more: the response is here, or its failure is known.
    """
    closing = close()
    closing.addTimeout(PATIENCE, reactor)
    closing.addErrback(lambda _: None)
    await closing


async def fetch(reactor: Reactor, settings: Settings, streams: Streams) -> None:
    """
    Fetch, and return once a complete response has been written.

    Whatever happens, and also when it is cancelled, connections and the demo server are closed
    and the output file is closed before it ends.

    :raises Exception: the client's failures as they come, TimedOut past the time limit, OSError
        when the output cannot be written.
    """
    output = Output(settings.output, streams)
    closers: list[Closer] = []
    try:
        await limited(
            reactor, settings.timeout, retrieve(reactor, settings, streams, output, closers)
        )
        output.finish()
    finally:
        output.close()
        for close in reversed(closers):
            await close_patiently(reactor, close)


async def retrieve(
    reactor: Reactor, settings: Settings, streams: Streams, output: Output, closers: list[Closer]
) -> None:
    """Send the request and write the response. What has to be closed is added to ``closers``."""
    plan = settings.plan
    trusted = settings.trusted
    if settings.demo:
        server = make_demo_server(reactor)
        closers.append(server.stop)
        await server.start()
        url = server.url(plan.target.decode("ascii")).encode("ascii")
        trusted = trusted or server.authority.pem
    else:
        assert plan.origin is not None
        url = plan.origin + plan.target
    agent, close = make_agent(reactor, settings, trusted, streams.log)
    closers.append(close)

    headers = Headers()
    for name, value in plan.headers:
        headers.addRawHeader(name, value)
    body = None if plan.body is None else JSONBody(plan.body)
    response = await agent.request(plan.method, url, headers, body)
    if settings.include:
        output.write(response_head(response))
    writer = BodyWriter(output)
    response.deliverBody(writer)
    if not await writer.done:
        streams.say("the server told the end of the body only by closing the connection")


class Fetching:
    """
    One fetch on its way: it says on standard error what goes wrong.

    :ivar status: fires with the exit status once everything is closed. It never fails.
    """

    def __init__(self, reactor: Reactor, settings: Settings, streams: Streams) -> None:
        self._settings = settings
        self._streams = streams
        self._is_interrupted = False
        running = Deferred.fromCoroutine(fetch(reactor, settings, streams))
        self._running = running
        self.status: Deferred[int] = running.addCallbacks(lambda _: 0, self._failed)

    def interrupt(self) -> None:
        """Cancel the fetch; its connections are still closed in good order."""
        self._is_interrupted = True
        self._running.cancel()

    def _placed(self, message: str, error: BaseException) -> str:
        """Name the origin, where Twisted's own errors of connecting and a time limit do not."""
        origin = self._settings.plan.origin
        if origin is None or not isinstance(cause(error), (ConnectError, DNSLookupError, TimedOut)):
            return message
        name = origin.decode("ascii")
        return message if name in message else f"{name}: {message}"

    def _failed(self, failure: Failure) -> int:
        # What was cancelled may report something else, as a name lookup does.
        error = CancelledError() if self._is_interrupted else failure.value
        assert error is not None
        status = exit_status(error)
        message = describe(error)
        if message is not None:
            self._streams.say(self._placed(message, error))
        if status == DEFECT and self._settings.debug:
            for line in failure.getTraceback().splitlines():
                self._streams.log(line)
        return status
