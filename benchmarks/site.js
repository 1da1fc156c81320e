// Node's http2 server: CERTIFICATE KEY. Prints "READY port"; ends with its standard input.
//
//   /small       100 octets, with a field that no other answer has
//   /upload/N    reads the body; 200 if it had N octets, else 400
//   /hold        100 octets, but not before the line "release" comes on standard input; each time
//                more requests wait than before, "HELD n" is printed. "hold" closes the gate again.
'use strict';

const fs = require('node:fs');
const http2 = require('node:http2');
const readline = require('node:readline');

const SMALL = Buffer.alloc(100, 'x');
let served = 0;
let gate = [];

function small(response) {
  served += 1;
  const unique = served.toString(16).padStart(32, '0');
  response.writeHead(200, { 'content-length': SMALL.length, 'x-request-id': unique });
  response.end(SMALL);
}

function upload(request, response, expected) {
  let count = 0;
  request.on('data', (octets) => { count += octets.length; });
  request.on('end', () => {
    response.writeHead(count === expected ? 200 : 400, { 'content-length': 0 });
    response.end();
  });
}

const [certificate, key] = process.argv.slice(2);
const server = http2.createSecureServer({
  allowHTTP1: true,
  cert: fs.readFileSync(certificate),
  key: fs.readFileSync(key),
  settings: { maxConcurrentStreams: 1000 },
  maxSessionMemory: 1000,
}, (request, response) => {
  const path = request.url;
  if (path.startsWith('/upload/')) {
    upload(request, response, Number(path.slice('/upload/'.length)));
  } else if (path === '/hold' && gate !== null) {
    gate.push(response);
    console.log(`HELD ${gate.length}`);
  } else {
    small(response);
  }
});
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.on('sessionError', () => {});

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'hold') {
    gate = [];
  } else {
    const waiting = gate || [];
    gate = null;
    waiting.forEach(small);
  }
}).on('close', () => process.exit());

server.listen(0, '127.0.0.1', () => console.log(`READY ${server.address().port}`));
