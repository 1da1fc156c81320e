from twisted.internet import task

from txhyper import HTTP20Connection


async def main(reactor):
    async with HTTP20Connection("www.example.com") as conn:
        conn.request("GET", "/stream-bytes/50000")
        response = await conn.get_response()
        async for chunk in response.read_chunked():
            print(len(chunk), "octets")


if __name__ == "__main__":
    task.react(main)
