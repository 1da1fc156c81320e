from http.cookiejar import CookieJar

from twisted.internet import task
from twisted.web.client import (
    ContentDecoderAgent,
    CookieAgent,
    GzipDecoder,
    RedirectAgent,
    readBody,
)

from txhyper import Agent


async def main(reactor):
    agent = Agent(reactor)
    browser = ContentDecoderAgent(
        RedirectAgent(CookieAgent(agent, CookieJar())), [(b"gzip", GzipDecoder)]
    )
    for path in (b"/redirect/2", b"/gzip"):
        response = await browser.request(b"GET", b"https://www.example.com" + path)
        print(path, response.code, await readBody(response))
    await agent.close()


if __name__ == "__main__":
    task.react(main)
