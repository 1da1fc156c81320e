from twisted.internet import task

from txhyper import Agent, ConnectionPool, Liveness


async def main(reactor):
    pool = ConnectionPool(reactor, liveness=Liveness(interval=60, deadline=10))
    agent = Agent(reactor, pool=pool)
    response = await agent.request(b"GET", b"https://www.example.com/get")
    print(response.code, len(await response.read()))
    for origin in pool.snapshot():
        print(origin.name, origin.connections)
    await agent.close()


if __name__ == "__main__":
    task.react(main)
