from twisted.internet import task
from twisted.web.client import ResponseNeverReceived

from txhyper import Agent, Request, ResponseTimedOut, Timeouts


async def main(reactor):
    agent = Agent(reactor, timeouts=Timeouts(connect=10, headers=20, bodyIdle=30))
    response = await agent.request(b"GET", b"https://www.example.com/get")
    print(response.code, len(await response.read()))

    hasty = Request(b"GET", b"https://www.example.com/delay/5", timeouts=Timeouts(headers=0.1))
    try:
        await agent.send(hasty)
    except ResponseNeverReceived as failed:
        failed.reasons[0].trap(ResponseTimedOut)
        print(failed.reasons[0].value)
    await agent.close()


if __name__ == "__main__":
    task.react(main)
