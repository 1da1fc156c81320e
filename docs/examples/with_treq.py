from treq.client import HTTPClient
from twisted.internet import task

from txhyper import Agent


async def main(reactor):
    agent = Agent(reactor)
    client = HTTPClient(agent)
    response = await client.post("https://www.example.com/post", json={"name": "txhyper"})
    print(response.version, await response.json())
    await agent.close()


if __name__ == "__main__":
    task.react(main)
