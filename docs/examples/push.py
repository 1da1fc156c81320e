from twisted.internet import task

from txhyper import Agent
from txhyper.client.tls import policyTrusting
from txhyper.testing.server import DemoServer
from txhyper.testing.site import Site

site = Site()


@site.route("/page")
def page(request, responder):
    responder.push(b"/style.css")
    responder.respond(200, [(b"content-type", b"text/html")], b"<p>A page with a style.</p>")


@site.route("/style.css")
def style(request, responder):
    responder.respond(200, [(b"content-type", b"text/css")], b"p { color: green }")


async def main(reactor):
    server = DemoServer(reactor, site=site)
    await server.start()
    agent = Agent(reactor, policyTrusting(server.authority.pem), enablePush=True)
    response = await agent.request(b"GET", server.url("/page").encode())
    async for promise in response.pushes:
        print("promised:", promise.uri.rpartition(b"/")[2])
        pushed = await promise.whenResponse()
        print(await pushed.read())
    print(await response.read())
    await agent.close()
    await server.stop()


if __name__ == "__main__":
    task.react(main)
