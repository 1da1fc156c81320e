from io import BytesIO

from twisted.internet import task

from txhyper import Agent, Request

URL = b"https://www.example.com/upload"


def lines():
    for number in range(1000):
        yield b"line %d\n" % number


async def ticks(reactor):
    for _ in range(3):
        await task.deferLater(reactor, 0.01)
        yield b"tick\n"


async def main(reactor):
    agent = Agent(reactor)
    for body in (b"octets", BytesIO(b"a file"), lines(), ticks(reactor)):
        response = await agent.send(Request(b"PUT", URL, body=body))
        print(await response.read())
    await agent.close()


if __name__ == "__main__":
    task.react(main)
