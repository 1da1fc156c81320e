from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.web.client import readBody
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from txhyper import Agent


@implementer(IBodyProducer)
class Countdown:
    """Writes a line now and then, and stops writing while it is told to."""

    length = UNKNOWN_LENGTH

    def __init__(self, reactor, lines):
        self.lines = lines
        self.loop = task.LoopingCall(self.writeLine)
        self.loop.clock = reactor

    def startProducing(self, consumer):
        self.consumer = consumer
        self.finished = Deferred()
        self.resumeProducing()
        return self.finished

    def writeLine(self):
        self.consumer.write(b"%d lines to go\n" % self.lines)
        self.lines -= 1
        if self.lines == 0:
            self.loop.stop()
            self.finished.callback(None)

    def pauseProducing(self):
        if self.loop.running:
            self.loop.stop()

    def resumeProducing(self):
        if not self.loop.running:
            self.loop.start(0.01)

    def stopProducing(self):
        self.pauseProducing()


async def main(reactor):
    agent = Agent(reactor)
    body = Countdown(reactor, 10)
    response = await agent.request(b"PUT", b"https://www.example.com/put", None, body)
    print(response.code, await readBody(response))
    await agent.close()


if __name__ == "__main__":
    task.react(main)
