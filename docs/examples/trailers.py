from hashlib import sha256

from twisted.internet import task
from twisted.web.http_headers import Headers

from txhyper import Agent, Request


async def main(reactor):
    agent = Agent(reactor)
    response = await agent.request(b"GET", b"https://www.example.com/trailers?checksum=abc")
    print(await response.read())
    trailers = await response.whenTrailers()
    print(trailers.getRawHeaders(b"checksum"))

    digest = sha256()

    def pieces():
        for _ in range(10):
            piece = b"some octets "
            digest.update(piece)
            yield piece

    def digestTrailer():
        return Headers({b"x-sha256": [digest.hexdigest().encode()]})

    url = b"https://www.example.com/post"
    response = await agent.send(Request(b"POST", url, body=pieces(), trailers=digestTrailer))
    print(await response.read())
    await agent.close()


if __name__ == "__main__":
    task.react(main)
