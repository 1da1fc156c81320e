from twisted.internet import task
from twisted.internet.endpoints import UNIXClientEndpoint, UNIXServerEndpoint
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.server import Site
from twisted.web.static import Data
from zope.interface import implementer

from txhyper import Agent


@implementer(IAgentEndpointFactory)
class BySocket:
    def __init__(self, reactor, path):
        self.reactor = reactor
        self.path = path

    def endpointForURI(self, uri):
        return UNIXClientEndpoint(self.reactor, self.path)


async def main(reactor):
    site = Site(Data(b"from around the corner", "text/plain"))
    listening = await UNIXServerEndpoint(reactor, "corner").listen(site)

    agent = Agent.usingEndpointFactory(reactor, BySocket(reactor, "corner"))
    response = await agent.request(b"GET", b"http://localhost/")
    print(await response.read())

    await agent.close()
    await listening.stopListening()


if __name__ == "__main__":
    task.react(main)
