from twisted.internet import task

from txhyper import HTTP20Connection


async def main(reactor):
    async with HTTP20Connection("www.example.com") as conn:
        conn.request("GET", "/get")
        resp = await conn.get_response()
        print(resp.status, resp.headers["content-type"])
        print(await resp.read())


if __name__ == "__main__":
    task.react(main)
