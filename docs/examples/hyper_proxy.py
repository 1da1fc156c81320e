from twisted.internet import task

from txhyper import HTTP20Connection


async def main(reactor):
    async with HTTP20Connection("www.example.com", proxy_host="proxy.example.com:3128") as conn:
        conn.request("GET", "/get")
        response = await conn.get_response()
        print(response.version, response.status)


if __name__ == "__main__":
    task.react(main)
