from twisted.internet import task

from txhyper import HTTP20Connection, Timeouts
from txhyper.adapters.hyper import HTTP20Error


async def main(reactor):
    async with HTTP20Connection("www.example.com", timeouts=Timeouts(headers=0.1)) as conn:
        conn.request("GET", "/delay/5")
        try:
            await conn.get_response()
        except HTTP20Error as error:
            print(type(error).__name__, error)


if __name__ == "__main__":
    task.react(main)
