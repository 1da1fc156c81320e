from twisted.internet import task
from twisted.web.client import readBody

from txhyper import Agent


async def main(reactor):
    agent = Agent(reactor)
    response = await agent.request(b"GET", b"https://www.example.com/get")
    print(response.version, response.code)
    for name, values in response.headers.getAllRawHeaders():
        print(name, values)
    print(await readBody(response))
    await agent.close()


if __name__ == "__main__":
    task.react(main)
