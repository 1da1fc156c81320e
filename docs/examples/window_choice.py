from twisted.internet import task
from twisted.web.client import readBody

from txhyper import Agent, ConsumptionFlowControlManager


class FourMiB(ConsumptionFlowControlManager):
    """Four MiB for each stream, whatever its reader does."""

    initial_stream_window = 4 * 1024 * 1024


async def main(reactor):
    agent = Agent(reactor, window_manager=FourMiB)
    response = await agent.request(b"GET", b"https://www.example.com/bytes/1000000")
    print(len(await readBody(response)), "octets")
    await agent.close()


if __name__ == "__main__":
    task.react(main)
