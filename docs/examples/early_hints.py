from twisted.internet import task
from twisted.web.http_headers import Headers

from txhyper import Agent, Request


def hint(status, headers):
    print(status, headers.getRawHeaders(b"link"))


async def main(reactor):
    agent = Agent(reactor)
    url = b"https://www.example.com/early-hints"
    response = await agent.send(Request(b"GET", url, onInformational=hint))
    print(response.code, len(await response.read()))

    expecting = Headers({b"expect": [b"100-continue"]})
    url = b"https://www.example.com/upload"
    response = await agent.send(Request(b"PUT", url, expecting, b"a body that was asked for"))
    print(response.code, await response.read())
    await agent.close()


if __name__ == "__main__":
    task.react(main)
