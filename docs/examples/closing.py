from twisted.internet import task
from twisted.web.client import readBody

from txhyper import Agent, ConnectionPool


async def main(reactor):
    pool = ConnectionPool(reactor)
    # Two agents that share their connections, since they share the pool.
    first, second = Agent(reactor, pool=pool), Agent(reactor, pool=pool)
    for agent in (first, second):
        response = await agent.request(b"GET", b"https://www.example.com/get")
        print(response.code, len(await readBody(response)))
    await pool.closeCachedConnections()


if __name__ == "__main__":
    task.react(main)
