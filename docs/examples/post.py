from io import BytesIO

from twisted.internet import task
from twisted.web.client import FileBodyProducer, readBody
from twisted.web.http_headers import Headers

from txhyper import Agent


async def main(reactor):
    agent = Agent(reactor)
    response = await agent.request(
        b"POST",
        b"https://www.example.com/post",
        Headers({b"content-type": [b"text/plain"]}),
        FileBodyProducer(BytesIO(b"Hello, stream!")),
    )
    print(response.code, await readBody(response))
    await agent.close()


if __name__ == "__main__":
    task.react(main)
