from pathlib import Path

from twisted.internet import task

from txhyper import Agent
from txhyper.client.tls import ClientCertificate, policyTrusting


async def main(reactor):
    shown = ClientCertificate(
        Path("certificate.pem").read_bytes(), Path("key.pem").read_bytes(), passphrase=None
    )
    agent = Agent(reactor, policyTrusting(Path("ca.pem").read_bytes(), shown))
    response = await agent.request(b"GET", b"https://www.example.com/get")
    print(response.code, len(await response.read()))
    await agent.close()


if __name__ == "__main__":
    task.react(main)
