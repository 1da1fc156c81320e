from twisted.internet import reactor
from twisted.trial.unittest import TestCase
from twisted.web.client import readBody

from txhyper import Agent
from txhyper.client.tls import policyTrusting
from txhyper.testing.server import DemoServer


class FetchTests(TestCase):
    async def setUp(self):
        self.server = DemoServer(reactor)
        await self.server.start()
        self.addCleanup(self.server.stop)
        self.agent = Agent(reactor, policyTrusting(self.server.authority.pem))
        self.addCleanup(self.agent.close)

    async def test_bytes(self):
        url = self.server.url("/bytes/1024").encode()
        response = await self.agent.request(b"GET", url)
        self.assertEqual(len(await readBody(response)), 1024)
