from twisted.internet import task
from twisted.web.client import ResponseNeverReceived

from txhyper import Agent


async def main(reactor):
    agent = Agent(reactor)
    slow = agent.request(b"GET", b"https://www.example.com/delay/5")
    slow.addTimeout(0.5, reactor)
    try:
        await slow
    except ResponseNeverReceived:
        print("we did not wait for that one")
    response = await agent.request(b"GET", b"https://www.example.com/get")
    print("the connection is as good as before:", response.code)
    await agent.close()


if __name__ == "__main__":
    task.react(main)
