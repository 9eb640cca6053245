const fs = require("fs"), ort = require("onnxruntime-web");
ort.env.wasm.numThreads = 1;
(async () => {
  const [model, data, dims] = process.argv.slice(2);
  const session = await ort.InferenceSession.create(fs.readFileSync(model), { executionProviders: ["wasm"] });
  const name = session.inputNames[0];
  const feed = { [name]: new ort.Tensor("uint8", new Uint8Array(fs.readFileSync(data)), JSON.parse(dims)) };
  const out = await session.run(feed), counts = {};
  for (const [key, value] of Object.entries(out)) {
    let sum = 0n;
    for (const x of value.data) sum += BigInt(x);
    counts[key] = sum.toString();
  }
  console.log(JSON.stringify(counts));
})();
