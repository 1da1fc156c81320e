// Node's HTTP/1.1 server over TLS: CERTIFICATE KEY; prints "READY port".
'use strict';

const fs = require('node:fs');
const https = require('node:https');
const { pipeline, Readable } = require('node:stream');
const { MEBIBYTE, blocks, count, digest, left } = require('./node_bodies.js');

const LINKS = ['</style.css>; rel=preload; as=style', '</script.js>; rel=preload; as=script'];

function upload(request, response) {
  count(request, (octets, sha) => response.end(`${octets} ${sha}`));
}

function refuse(status) {
  return (request, response) => {
    response.writeHead(status);
    response.end('no');
  };
}

// The request that has had its hints, and gets its response when somebody asks for /release.
let hinted = null;

const paths = {
  '/upload': upload,

  '/hints': (request, response) => {
    hinted = response;
    response.writeEarlyHints({ link: LINKS });
  },

  '/release': (request, response) => {
    hinted.end('after the hints');
    response.writeHead(204);
    response.end();
  },

  '/informational': (request, response) => {
    response.writeProcessing();
    response.writeEarlyHints({ link: LINKS[0] });
    response.writeEarlyHints({ link: LINKS[1] });
    response.end('after three');
  },

  '/trailers': (request, response) => {
    response.writeHead(200, { trailer: 'x-sha256' });
    response.addTrailers({ 'x-sha256': digest(MEBIBYTE) });
    pipeline(Readable.from(blocks(MEBIBYTE), { objectMode: false }), response, left);
  },

  '/request-trailers': (request, response) => {
    count(request, (octets, sha) => {
      response.end(JSON.stringify({ sha256: sha, trailers: request.trailers }));
    });
  },

  '/continue': (request, response) => {
    response.writeContinue();
    upload(request, response);
  },

  '/expectation-failed': (request, response) => {
    (request.headers.expect === undefined ? upload : refuse(417))(request, response);
  },
  '/too-large': refuse(413),

  // Reads no more than the first octets.
  '/refused-midway': (request, response) => {
    request.once('data', () => {
      request.pause();
      response.writeHead(413);
      response.end('enough');
    });
  },

  '/100': (request, response) => {
    response.writeHead(200, { 'content-length': 100 });
    pipeline(Readable.from(blocks(100), { objectMode: false }), response, left);
  },
};

const [certificate, key] = process.argv.slice(2);
const server = https.createServer({
  cert: fs.readFileSync(certificate),
  key: fs.readFileSync(key),
});
// A client that has been refused hangs up by itself: nobody here does it in its place.
server.keepAliveTimeout = 0;
function serve(request, response) {
  request.on('error', left);
  response.on('error', left);
  paths[request.url](request, response);
}
server.on('request', serve);
// Without this, Node itself would say 100 to everybody who asks for it.
server.on('checkContinue', serve);
server.on('tlsClientError', left);
server.listen(0, '127.0.0.1', () => console.log(`READY ${server.address().port}`));
