"""An HTTP/2 client for Twisted."""

from txhyper.adapters.hyper import HTTP11Connection, HTTP20Connection, HTTPConnection
from txhyper.client.agent import Agent
from txhyper.client.decoding import contentDecoders
from txhyper.client.pool import ConnectionPool
from txhyper.client.proxies import Proxy, proxyFromEnvironment
from txhyper.core.bounds import Bounds
from txhyper.core.header_map import HTTPHeaderMap
from txhyper.core.windows import (
    AutoTuningFlowControlManager,
    BaseFlowControlManager,
    ConsumptionFlowControlManager,
    FlowControlManager,
    ReceiptFlowControlManager,
)
from txhyper.errors import (
    BodyError,
    BodyTimedOut,
    BodyTooLarge,
    BoundExceeded,
    ConnectionFailed,
    ConnectionTerminated,
    ConnectionUnusable,
    ConnectTimedOut,
    DecodingFailed,
    GoneAway,
    HandshakeTerminated,
    HandshakeTimedOut,
    HTTP11Required,
    HyperError,
    Initiator,
    InvalidRequest,
    LengthMismatch,
    MalformedResponse,
    NegotiationFailed,
    NotProcessed,
    PeerUnresponsive,
    ProtocolViolation,
    PushRefused,
    ResponseTimedOut,
    SlotTimedOut,
    StreamAborted,
    StreamError,
    StreamRefused,
    StreamReset,
    TimedOut,
    TotalTimedOut,
    TunnelRefused,
)
from txhyper.interfaces import (
    IHTTPConnection,
    IHyperResponse,
    IPushPromise,
    IReplayableBody,
)
from txhyper.protocol.connection import HTTP2ClientProtocol
from txhyper.protocol.keepalive import Liveness
from txhyper.protocol.push import PushPromise
from txhyper.protocol.request import Request
from txhyper.protocol.timeouts import Timeouts
from txhyper.protocol.tunnel import TunnelEndpoint

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AutoTuningFlowControlManager",
    "BaseFlowControlManager",
    "BodyError",
    "BodyTimedOut",
    "BodyTooLarge",
    "BoundExceeded",
    "Bounds",
    "ConnectTimedOut",
    "ConnectionFailed",
    "ConnectionPool",
    "ConnectionTerminated",
    "ConnectionUnusable",
    "ConsumptionFlowControlManager",
    "DecodingFailed",
    "FlowControlManager",
    "GoneAway",
    "HTTP2ClientProtocol",
    "HTTP11Connection",
    "HTTP11Required",
    "HTTP20Connection",
    "HTTPConnection",
    "HTTPHeaderMap",
    "HandshakeTerminated",
    "HandshakeTimedOut",
    "HyperError",
    "IHTTPConnection",
    "IHyperResponse",
    "IPushPromise",
    "IReplayableBody",
    "Initiator",
    "InvalidRequest",
    "LengthMismatch",
    "Liveness",
    "MalformedResponse",
    "NegotiationFailed",
    "NotProcessed",
    "PeerUnresponsive",
    "ProtocolViolation",
    "Proxy",
    "PushPromise",
    "PushRefused",
    "ReceiptFlowControlManager",
    "Request",
    "ResponseTimedOut",
    "SlotTimedOut",
    "StreamAborted",
    "StreamError",
    "StreamRefused",
    "StreamReset",
    "TimedOut",
    "Timeouts",
    "TotalTimedOut",
    "TunnelEndpoint",
    "TunnelRefused",
    "__version__",
    "contentDecoders",
    "proxyFromEnvironment",
]
