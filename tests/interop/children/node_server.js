// Node's http2 server over TLS: CERTIFICATE KEY; prints "READY port".
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const http2 = require('node:http2');
const { pipeline, Readable } = require('node:stream');

// The same octets as tests/interop/bodies.py.
const BLOCK = 64 * 1024;
const FILLER = Buffer.from(
  Array.from({ length: BLOCK - 8 }, (_, i) => (i * 7 + Math.floor(i / 256)) % 256));

function* blocks(size) {
  for (let number = 0; size > 0; number += 1, size -= BLOCK) {
    const name = Buffer.from(number.toString(16).padStart(8, '0'), 'latin1');
    yield Buffer.concat([name, FILLER]).subarray(0, Math.min(size, BLOCK));
  }
}

// A client may leave in mid-stream: that is its right, and no reason for this server to end.
function left() {}

function upload(stream) {
  const sha = crypto.createHash('sha256');
  let count = 0;
  stream.on('data', (octets) => { count += octets.length; sha.update(octets); });
  stream.on('end', () => {
    stream.respond({ ':status': 200 });
    stream.end(`${count} ${sha.digest('hex')}`);
  });
}

function download(stream, size) {
  stream.respond({ ':status': 200, 'content-length': size });
  pipeline(Readable.from(blocks(size), { objectMode: false }), stream, left);
}

const [certificate, key] = process.argv.slice(2);
const server = http2.createSecureServer({
  cert: fs.readFileSync(certificate),
  key: fs.readFileSync(key),
});
server.on('stream', (stream, headers) => {
  stream.on('error', left);
  const path = headers[':path'];
  if (path === '/upload') {
    upload(stream);
  } else {
    download(stream, Number(path.slice(1)));
  }
});
server.on('sessionError', left);
server.listen(0, '127.0.0.1', () => console.log(`READY ${server.address().port}`));
