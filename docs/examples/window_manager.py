from twisted.internet import task
from twisted.web.client import readBody

from txhyper import Agent, BaseFlowControlManager, ConnectionPool


class EagerManager(BaseFlowControlManager):
    """Gives back what came as soon as it has been taken."""

    def increase_window_size(self, frame_size):
        return frame_size


async def main(reactor):
    pool = ConnectionPool(reactor, window_manager=EagerManager)
    agent = Agent(reactor, pool=pool)
    response = await agent.request(b"GET", b"https://www.example.com/bytes/1000000")
    print(len(await readBody(response)), "octets")
    await agent.close()


if __name__ == "__main__":
    task.react(main)
