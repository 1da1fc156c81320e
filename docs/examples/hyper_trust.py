from twisted.internet import task

from txhyper import HTTP20Connection
from txhyper.adapters.hyper import init_context


async def main(reactor):
    conn = HTTP20Connection("www.example.com", ssl_context=init_context("ca.pem"))
    async with conn:
        conn.request("GET", "/get")
        response = await conn.get_response()
        print(response.status)


if __name__ == "__main__":
    task.react(main)
