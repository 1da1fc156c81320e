from twisted.internet import task

from txhyper import HTTP20Connection
from txhyper.testing.server import DemoServer
from txhyper.testing.site import Site


def page(request, responder):
    responder.push(b"/style.css")
    responder.respond(200, [], b"the page")


def style(request, responder):
    responder.respond(200, [], b"the style")


async def main(reactor):
    # A server that pushes.
    site = Site()
    site.add("/", page)
    site.add("/style.css", style)
    server = DemoServer(reactor, site=site, secure=False)
    await server.start()

    async with HTTP20Connection("localhost", server.port, secure=False, enable_push=True) as conn:
        conn.request("GET", "/")
        response = await conn.get_response()
        print(await response.read())
        async for push in conn.get_pushes():
            pushed = await push.get_response()
            print(push.path, await pushed.read())
    await server.stop()


if __name__ == "__main__":
    task.react(main)
