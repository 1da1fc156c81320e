// The same octets as tests/interop/bodies.py, for the servers that Node runs.
'use strict';

const crypto = require('node:crypto');

const BLOCK = 64 * 1024;
const MEBIBYTE = 1024 * 1024;
const FILLER = Buffer.from(
  Array.from({ length: BLOCK - 8 }, (_, i) => (i * 7 + Math.floor(i / 256)) % 256));

function* blocks(size) {
  for (let number = 0; size > 0; number += 1, size -= BLOCK) {
    const name = Buffer.from(number.toString(16).padStart(8, '0'), 'latin1');
    yield Buffer.concat([name, FILLER]).subarray(0, Math.min(size, BLOCK));
  }
}

function digest(size) {
  const sha = crypto.createHash('sha256');
  for (const block of blocks(size)) {
    sha.update(block);
  }
  return sha.digest('hex');
}

// Reads what comes to its end, and then calls back with how much it was and its SHA-256.
function count(readable, done) {
  const sha = crypto.createHash('sha256');
  let octets = 0;
  readable.on('data', (piece) => { octets += piece.length; sha.update(piece); });
  readable.on('end', () => done(octets, sha.digest('hex')));
}

// A client may leave in mid-stream: that is its right, and no reason for a server to end.
function left() {}

module.exports = { MEBIBYTE, blocks, count, digest, left };
