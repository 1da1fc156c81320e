from twisted.internet import task
from twisted.web.client import ContentDecoderAgent, readBody

from txhyper import Agent, contentDecoders


async def main(reactor):
    agent = Agent(reactor)
    decoding = ContentDecoderAgent(agent, contentDecoders())
    for path in (b"/gzip", b"/deflate"):
        response = await decoding.request(b"GET", b"https://www.example.com" + path)
        print(response.code, await readBody(response))
    await agent.close()


if __name__ == "__main__":
    task.react(main)
