from twisted.internet import task

from txhyper import BaseFlowControlManager, HTTP20Connection


class StupidFlowControlManager(BaseFlowControlManager):
    def increase_window_size(self, frame_size):
        return frame_size


async def main(reactor):
    conn = HTTP20Connection("www.example.com", window_manager=StupidFlowControlManager)
    async with conn:
        conn.request("GET", "/bytes/1000000")
        response = await conn.get_response()
        print(len(await response.read()), "octets")


if __name__ == "__main__":
    task.react(main)
