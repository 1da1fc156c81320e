from pathlib import Path

from twisted.internet import task
from twisted.web.client import readBody

from txhyper import Agent
from txhyper.client.tls import policyTrusting


async def main(reactor):
    policy = policyTrusting(Path("ca.pem").read_bytes())
    agent = Agent(reactor, policy)
    response = await agent.request(b"GET", b"https://www.example.com/get")
    print(response.code, len(await readBody(response)))
    await agent.close()


if __name__ == "__main__":
    task.react(main)
