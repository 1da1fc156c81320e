from twisted.internet import task
from twisted.web.client import ResponseFailed

from txhyper import Agent, BodyTooLarge


async def main(reactor):
    agent = Agent(reactor)
    response = await agent.request(b"GET", b"https://www.example.com/gzip")
    print(await response.read(limit=100_000))

    response = await agent.request(b"GET", b"https://www.example.com/bytes/1000000")
    try:
        await response.read(limit=1000)
    except ResponseFailed as failed:
        failed.reasons[0].trap(BodyTooLarge)
        print(failed.reasons[0].value)
    await agent.close()


if __name__ == "__main__":
    task.react(main)
