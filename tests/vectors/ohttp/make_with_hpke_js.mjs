// Makes hpke-js.json: exchanges of Oblivious HTTP as hpke-js and bhttp-js make them, for all three AEADs.
// In a folder of its own: npm install hpke-js@1.8.0 bhttp-js@0.2.1; then, with this file beside node_modules,
// node make_with_hpke_js.mjs > hpke-js.json
import { createCipheriv, createHash, createHmac, createPrivateKey, createPublicKey } from "node:crypto";
import { Aes128Gcm, Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { Chacha20Poly1305 } from "@hpke/chacha20poly1305";
import { BHttpEncoder } from "bhttp-js";

const hex = (data) => Buffer.from(data).toString("hex");
const digest = (text) => createHash("sha256").update(text).digest();
const text = (value) => Buffer.from(value, "ascii");

const AEADS = [
  { id: 1, make: () => new Aes128Gcm(), size: 16, cipher: "aes-128-gcm" },
  { id: 2, make: () => new Aes256Gcm(), size: 32, cipher: "aes-256-gcm" },
  { id: 3, make: () => new Chacha20Poly1305(), size: 32, cipher: "chacha20-poly1305" },
];

// HKDF-Expand for one block of SHA-256, which is all that is needed here.
const expand = (key, info, size) =>
  createHmac("sha256", key).update(info).update(Buffer.from([1])).digest().subarray(0, size);

function sealResponse(aead, secret, enc, nonce, message) {
  const key = createHmac("sha256", Buffer.concat([enc, nonce])).update(secret).digest();
  const options = { authTagLength: 16 };
  const cipher = createCipheriv(aead.cipher, expand(key, "key", aead.size), expand(key, "nonce", 12), options);
  return Buffer.concat([nonce, cipher.update(message), cipher.final(), cipher.getAuthTag()]);
}

async function exchange(aead, number, request, response) {
  const kem = new DhkemX25519HkdfSha256();
  const suite = new CipherSuite({ kem, kdf: new HkdfSha256(), aead: aead.make() });
  const [gatewaySecret, ephemeralSecret] = [digest(`gateway ${number}`), digest(`ephemeral ${number}`)];
  const pair = async (secret) => {
    const raw = new Uint8Array(secret);
    const privateKey = await kem.importKey("raw", raw.buffer, false);
    return { privateKey, publicKey: await publicOf(kem, raw) };
  };
  const gateway = await pair(gatewaySecret);
  const head = Buffer.from([number, 0, 0x20, 0, 1, 0, aead.id]);
  const info = Buffer.concat([text("message/bhttp request\0"), head]);
  const recipientPublicKey = gateway.publicKey;
  const sender = await suite.createSenderContext({ recipientPublicKey, info, ekm: await pair(ephemeralSecret) });
  const message = Buffer.from(await new BHttpEncoder().encodeRequest(request));
  const sealed = Buffer.from(await sender.seal(message));
  const enc = Buffer.from(sender.enc);
  const secret = Buffer.from(await sender.export(text("message/bhttp response"), aead.size));
  const nonce = digest(`nonce ${number}`).subarray(0, aead.size);
  const answer = Buffer.from(await new BHttpEncoder().encodeResponse(response));
  return {
    aead: aead.id, key_id: number, gateway_secret: hex(gatewaySecret), ephemeral_secret: hex(ephemeralSecret),
    request: hex(message), encapsulated_request: hex(Buffer.concat([head, enc, sealed])),
    response: hex(answer), response_nonce: hex(nonce),
    encapsulated_response: hex(sealResponse(aead, secret, enc, nonce, answer)),
  };
}

// The public key of a raw private key: node tells it of a key in PKCS#8.
async function publicOf(kem, secret) {
  const prefix = Buffer.from("302e020100300506032b656e04220420", "hex");
  const key = createPrivateKey({ key: Buffer.concat([prefix, secret]), format: "der", type: "pkcs8" });
  const der = createPublicKey(key).export({ format: "der", type: "spki" });
  return kem.importKey("raw", new Uint8Array(der.subarray(-32)).buffer, true);
}

const vectors = [];
for (const [index, aead] of AEADS.entries()) {
  const request = new Request("https://example.org/a/b?c=d", {
    method: "POST", headers: { "content-type": "text/plain", "x-number": `${index}` }, body: "x".repeat(40 * index),
  });
  const response = new Response("y".repeat(100 * index), { status: 200 + index, headers: { etag: '"z"' } });
  vectors.push(await exchange(aead, index + 7, request, response));
}
const origin = "hpke-js 1.8.0 and bhttp-js 0.2.1 on node 20, by make_with_hpke_js.mjs";
console.log(JSON.stringify({ origin, vectors }, null, 2));
