from twisted.internet import task
from twisted.web.client import readBody

from txhyper import Agent, ConnectionPool


async def main(reactor):
    agent = Agent(reactor, pool=ConnectionPool(reactor, onFrame=print))
    await readBody(await agent.request(b"GET", b"https://www.example.com/get"))
    await agent.pool.closeCachedConnections()


if __name__ == "__main__":
    task.react(main)
