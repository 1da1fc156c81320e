from twisted.internet import task
from twisted.web.client import Agent, readBody

from txhyper import ConnectionPool


async def main(reactor):
    pool = ConnectionPool(reactor)
    agent = Agent(reactor, pool=pool)
    response = await agent.request(b"GET", b"https://www.example.com/get")
    print(response.version, await readBody(response))
    await pool.closeCachedConnections()


if __name__ == "__main__":
    task.react(main)
