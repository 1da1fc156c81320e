// Node's http2 server over TLS: CERTIFICATE KEY [PADDING [CLIENTS]]; prints "READY port".
// With the certificate of an authority for CLIENTS, nobody else is let in.
'use strict';

const fs = require('node:fs');
const http2 = require('node:http2');
const net = require('node:net');
const { pipeline, Readable } = require('node:stream');
const { MEBIBYTE, blocks, count, digest, left } = require('./node_bodies.js');

const LINKS = ['</style.css>; rel=preload; as=style', '</script.js>; rel=preload; as=script'];

function upload(stream) {
  count(stream, (octets, sha) => {
    stream.respond({ ':status': 200 });
    stream.end(`${octets} ${sha}`);
  });
}

function download(stream, size) {
  stream.respond({ ':status': 200, 'content-length': size });
  if (!stream.headRequest) {
    pipeline(Readable.from(blocks(size), { objectMode: false }), stream, left);
  }
}

// Writes a list of pieces. Each is out before the next is written: so each is a frame of its own.
function inPieces(stream, pieces) {
  const next = () => (pieces.length ? stream.write(pieces.shift(), next) : stream.end());
  stream.respond({ ':status': 200 });
  next();
}

// A proxy, for hosts of this machine alone.
function tunnel(stream, authority) {
  const port = Number(authority.split(':').pop());
  if (!authority.startsWith('localhost:')) {
    stream.respond({ ':status': 403 });
    stream.end('not there');
    return;
  }
  const socket = net.connect(port, '127.0.0.1', () => {
    stream.respond({ ':status': 200 });
    pipeline(socket, stream, left);
    pipeline(stream, socket, left);
  });
  socket.on('error', () => stream.close(http2.constants.NGHTTP2_CONNECT_ERROR));
}

// The request that has had its hints, and gets its response when somebody asks for /release.
let hinted = null;

// Promises a body, if the client takes promises.
function push(stream, size) {
  if (stream.pushAllowed) {
    stream.pushStream({ ':path': `/${size}` }, (error, pushed) => {
      if (!error) {
        pushed.on('error', left);
        download(pushed, size);
      }
    });
  }
}

const paths = {
  '/upload': upload,

  '/hints': (stream) => {
    hinted = stream;
    stream.additionalHeaders({ ':status': 103, link: LINKS });
  },

  '/release': (stream) => {
    hinted.respond({ ':status': 200 });
    hinted.end('after the hints');
    stream.respond({ ':status': 204 }, { endStream: true });
  },

  '/informational': (stream) => {
    stream.additionalHeaders({ ':status': 102 });
    stream.additionalHeaders({ ':status': 103, link: LINKS[0] });
    stream.additionalHeaders({ ':status': 103, link: LINKS[1] });
    stream.respond({ ':status': 200 });
    stream.end('after three');
  },

  '/trailers': (stream) => {
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sha256': digest(MEBIBYTE) }));
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    pipeline(Readable.from(blocks(MEBIBYTE), { objectMode: false }), stream, left);
  },

  // The body is one empty DATA frame, since it is not the one that ends the stream.
  '/empty': (stream) => {
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-count': '0' }));
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.end();
  },

  '/pieces': (stream) => inPieces(stream, ['one', 'two', 'three']),

  // A mebibyte in pieces of 256 octets.
  '/crumbs': (stream) => {
    const body = Buffer.concat([...blocks(MEBIBYTE)]);
    inPieces(stream, Array.from({ length: 4096 }, (_, i) => body.subarray(i * 256, i * 256 + 256)));
  },

  '/request-trailers': (stream) => {
    const answer = {};
    const tell = () => {
      if ('sha256' in answer && 'trailers' in answer) {
        stream.respond({ ':status': 200 });
        stream.end(JSON.stringify(answer));
      }
    };
    stream.on('trailers', (trailers) => { answer.trailers = trailers; tell(); });
    count(stream, (octets, sha) => { answer.sha256 = sha; tell(); });
  },

  '/continue': (stream) => {
    stream.additionalHeaders({ ':status': 100 });
    upload(stream);
  },

  '/expectation-failed': (stream, headers) => {
    if (headers.expect === undefined) {
      upload(stream);
    } else {
      stream.respond({ ':status': 417 });
      stream.end('no');
    }
  },

  '/too-large': (stream) => {
    stream.respond({ ':status': 413 });
    stream.end('no');
  },

  // Reads no more than the first octets, so that the client has a window full of them at most.
  '/refused-midway': (stream) => {
    stream.once('data', () => {
      stream.pause();
      stream.respond({ ':status': 413 });
      stream.end('enough');
    });
  },

  '/204': (stream) => {
    stream.respond({ ':status': 204 });
  },

  '/304': (stream) => {
    stream.respond({ ':status': 304, 'content-length': 100, etag: '"1"' });
  },

  // Says its host's name, unless the connection was made for another.
  '/misdirected': (stream, headers) => {
    const host = headers[':authority'].split(':')[0];
    const isMine = stream.session.socket.servername === host;
    stream.respond({ ':status': isMine ? 200 : 421 });
    stream.end(host);
  },

  // Says which origins the connection is for (RFC 8336), before it answers.
  '/origins': (stream) => {
    stream.session.origin('https://b.test:443', 'https://c.test:8443');
    stream.respond({ ':status': 204 }, { endStream: true });
  },

  // Promises three bodies, the last one when the response has begun.
  '/push': (stream) => {
    push(stream, MEBIBYTE);
    push(stream, 1000);
    stream.respond({ ':status': 200 });
    stream.write('a ');
    push(stream, 0);
    stream.end('page');
  },

  // Promises a thousand.
  '/push/1000': (stream) => {
    for (let number = 0; number < 1000; number += 1) {
      push(stream, 1000);
    }
    stream.respond({ ':status': 200 });
    stream.end('a page');
  },

  // Says who asked.
  '/who': (stream) => {
    stream.respond({ ':status': 200 });
    stream.end(`CN=${stream.session.socket.getPeerCertificate().subject.CN}`);
  },

  // Says what it was asked.
  '/request': (stream, headers) => {
    stream.respond({ ':status': 200, 'set-cookie': ['a=1', 'b=2'] });
    stream.end(JSON.stringify({ method: headers[':method'], cookie: headers.cookie }));
  },
};

const [certificate, key, padding, clients] = process.argv.slice(2);
const server = http2.createSecureServer({
  cert: fs.readFileSync(certificate),
  key: fs.readFileSync(key),
  paddingStrategy: http2.constants[padding ?? 'PADDING_STRATEGY_NONE'],
  requestCert: clients !== undefined,
  ca: clients && fs.readFileSync(clients),
});
server.on('stream', (stream, headers) => {
  stream.on('error', left);
  if (headers[':method'] === 'CONNECT') {
    tunnel(stream, headers[':authority']);
    return;
  }
  const path = headers[':path'];
  const answer = paths[path];
  if (answer === undefined) {
    download(stream, Number(path.slice(1)));
  } else {
    answer(stream, headers);
  }
});
server.on('sessionError', left);
server.listen(0, '127.0.0.1', () => console.log(`READY ${server.address().port}`));
