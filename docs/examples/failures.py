from twisted.internet import task
from twisted.internet.error import ConnectError
from twisted.web.client import ResponseNeverReceived
from twisted.web.error import SchemeNotSupported

from txhyper import Agent
from txhyper.errors import InvalidRequest


async def attempt(agent, method, url):
    try:
        response = await agent.request(method, url)
    except ConnectError as error:
        print(url, "cannot be connected to:", error)
    except ResponseNeverReceived as error:
        print(url, "did not answer:", error.reasons[0].value)
    except (InvalidRequest, SchemeNotSupported) as error:
        print(url, "was never asked:", error)
    else:
        print(url, "answered:", response.code)


async def main(reactor):
    agent = Agent(reactor)
    await attempt(agent, b"GET", b"https://www.example.com/status/404")
    await attempt(agent, b"GET", b"https://127.0.0.1:1/")
    await attempt(agent, b"GET", b"gopher://www.example.com/")
    await attempt(agent, b"TWO WORDS", b"https://www.example.com/")
    await agent.close()


if __name__ == "__main__":
    task.react(main)
