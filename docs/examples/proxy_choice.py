from twisted.internet import task

from txhyper import Agent, Proxy

proxy = Proxy(b"http://proxy.example.com:3128")


def choose(origin):
    """Our own hosts are reached without the proxy."""
    return None if origin.endswith(b".internal.example.com") else proxy


async def main(reactor):
    agent = Agent(reactor, proxy=choose)
    response = await agent.request(b"GET", b"https://www.example.com/get")
    print(response.code, len(await response.read()))
    await agent.close()


if __name__ == "__main__":
    task.react(main)
