from twisted.internet import task

from txhyper import Agent


async def main(reactor):
    agent = Agent(reactor)
    response = await agent.request(b"GET", b"https://www.example.com/stream/5")
    async for chunk in response.chunks():
        print(len(chunk), "octets")
    await agent.close()


if __name__ == "__main__":
    task.react(main)
