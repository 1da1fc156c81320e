from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.web.client import ResponseDone

from txhyper import Agent


class SlowReader(Protocol):
    """Takes a rest after each piece of a body."""

    def __init__(self, reactor):
        self.reactor = reactor
        self.octets = self.rests = 0
        self.finished = Deferred()

    def dataReceived(self, data):
        self.octets += len(data)
        self.rests += 1
        self.transport.pauseProducing()
        self.reactor.callLater(0.001, self.transport.resumeProducing)

    def connectionLost(self, reason):
        if reason.check(ResponseDone):
            self.finished.callback(None)
        else:
            self.finished.errback(reason)


async def main(reactor):
    agent = Agent(reactor)
    response = await agent.request(b"GET", b"https://www.example.com/stream-bytes/1000000")
    reader = SlowReader(reactor)
    response.deliverBody(reader)
    await reader.finished
    print(reader.octets, "octets, and", reader.rests, "rests")
    await agent.close()


if __name__ == "__main__":
    task.react(main)
