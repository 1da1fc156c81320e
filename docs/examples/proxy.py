from twisted.internet import task

from txhyper import Agent, Proxy


async def main(reactor):
    agent = Agent(reactor, proxy=Proxy(b"http://proxy.example.com:3128"))
    response = await agent.request(b"GET", b"https://www.example.com/get")
    print(response.version, response.code, len(await response.read()))
    await agent.close()


if __name__ == "__main__":
    task.react(main)
