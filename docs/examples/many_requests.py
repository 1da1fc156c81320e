from twisted.internet import task
from twisted.internet.defer import gatherResults
from twisted.web.client import readBody

from txhyper import Agent


async def main(reactor):
    agent = Agent(reactor)
    urls = [b"https://www.example.com/bytes/%d" % size for size in range(1, 101)]
    responses = await gatherResults([agent.request(b"GET", url) for url in urls])
    bodies = await gatherResults([readBody(response) for response in responses])
    print(sum(len(body) for body in bodies), "octets in", len(bodies), "responses")
    await agent.close()


if __name__ == "__main__":
    task.react(main)
