from io import BytesIO

from twisted.internet import task

from txhyper import HTTP20Connection


async def main(reactor):
    async with HTTP20Connection("www.example.com") as conn:
        # What is in a file, as it is read.
        conn.request("POST", "/upload", data=BytesIO(b"x" * 1000000))

        # What is made as it is sent: the next piece when there is room for it.
        conn.putrequest("POST", "/upload")
        conn.putheader("content-type", "text/plain")
        await conn.endheaders()
        for number in range(10000):
            await conn.send(f"line {number}\n")
        await conn.send(b"", final=True)

        for _ in range(2):
            response = await conn.get_response()
            print(await response.read())


if __name__ == "__main__":
    task.react(main)
