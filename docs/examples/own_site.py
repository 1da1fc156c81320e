from twisted.internet import task
from twisted.web.client import readBody

from txhyper import Agent
from txhyper.client.tls import policyTrusting
from txhyper.testing.server import DemoServer
from txhyper.testing.site import Site

site = Site()


@site.route("/greet/{name}")
def greet(request, responder):
    greeting = f"Hello, {request.variables['name']}!"
    responder.respond(200, [(b"content-type", b"text/plain")], greeting.encode())


async def main(reactor):
    server = DemoServer(reactor, site=site)
    await server.start()
    agent = Agent(reactor, policyTrusting(server.authority.pem))
    response = await agent.request(b"GET", server.url("/greet/stream").encode())
    print(await readBody(response))
    await agent.close()
    await server.stop()


if __name__ == "__main__":
    task.react(main)
