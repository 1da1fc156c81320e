from twisted.internet import task
from twisted.web.resource import Resource
from twisted.web.server import Site

from txhyper import HTTP11Connection


class Greeting(Resource):
    isLeaf = True

    def render_GET(self, request):
        return b"hello over " + request.clientproto


async def main(reactor):
    # A server of Twisted's own, so that there is somebody to talk to.
    port = reactor.listenTCP(0, Site(Greeting()), interface="127.0.0.1")
    async with HTTP11Connection(f"127.0.0.1:{port.getHost().port}") as c:
        c.request("GET", "/")
        resp = await c.get_response()
        print(resp.version, resp.status, resp.reason)
        print(await resp.read())
    await port.stopListening()


if __name__ == "__main__":
    task.react(main)
