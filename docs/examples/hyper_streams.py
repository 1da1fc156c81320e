from twisted.internet import task

from txhyper import HTTP20Connection


async def main(reactor):
    async with HTTP20Connection("www.example.com") as c:
        first = c.request("GET", "/get")
        second = c.request("POST", "/post", data="key=value")
        third = c.request("GET", "/ip")
        second_response = await c.get_response(second)
        first_response = await c.get_response(first)
        third_response = await c.get_response(third)
        for response in (first_response, second_response, third_response):
            print(await response.read())


if __name__ == "__main__":
    task.react(main)
