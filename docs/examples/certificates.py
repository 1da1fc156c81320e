from datetime import datetime, timedelta, timezone

from twisted.internet import task

from txhyper.testing.certs import CertificateAuthority


async def main(reactor):
    authority = CertificateAuthority()
    good = authority.issue("localhost", "127.0.0.1")
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    expired = authority.issue("localhost", notAfter=yesterday)
    certificatePath, keyPath = good.writeTo(".")
    print(certificatePath, keyPath, expired.certificatePem.decode())


if __name__ == "__main__":
    task.react(main)
